//! Requests to a hub and to where it sends for its files, the token going to the hub alone.

use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::error::shortened;
use super::{Hub, HubError, HubModel};

/// How often an answer may point elsewhere.
const REDIRECTS: usize = 8;
/// How long a server may keep silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The headers that the hub itself gives, wherever the file may be.
    Headers,
    /// The file from this byte on.
    From(u64),
}

/// One that asks.
pub(super) struct Requests<'a> {
    agent: Agent,
    hub: &'a Hub,
}

impl<'a> Requests<'a> {
    pub fn new(hub: &'a Hub) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Followed by hand: headers on the way count, and the token stays with the hub.
            .max_redirects(0)
            .user_agent(concat!("ptune/", env!("CARGO_PKG_VERSION")))
            // Sizes and ranges are those of the file, not of its compression.
            .accept_encoding("identity")
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build()
            .new_agent();
        Self { agent, hub }
    }

    /// Asks an address of the hub and follows where it points. Headers are not looked for elsewhere
    /// than at the hub: what it says about a file counts, not what a store of files says.
    pub fn send(&self, address: &str, ask: Ask) -> Result<Response<Body>, HubError> {
        let mut address = address.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = match ask {
                Ask::Headers => self.agent.head(&address),
                Ask::From(_) => self.agent.get(&address),
            };
            if let Ask::From(first @ 1..) = ask {
                request = request.header("Range", format!("bytes={first}-"));
            }
            if let Some(token) = self.hub.token.as_ref().filter(|_| self.is_hub(&address)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| failed(&address, error))?;
            let status = response.status();
            let location = header(response.headers(), "location");
            let points_on =
                status.is_redirection() && status != StatusCode::NOT_MODIFIED && location.is_some();
            let Some(next) = location.filter(|_| points_on) else { return Ok(response) };
            let next = joined(&address, next)
                .ok_or_else(|| HubError::answer(&address, "an address to go on to", next))?;
            if ask == Ask::Headers && !self.is_hub(&next) {
                return Ok(response);
            }
            address = next;
        }
        Err(HubError::answer(&address, "the file", "one redirection after another"))
    }

    /// Whether an address is the hub's own.
    fn is_hub(&self, address: &str) -> bool {
        origin(address).is_some_and(|found| origin(&self.hub.endpoint) == Some(found))
    }
}

/// Scheme, host and port.
fn origin(address: &str) -> Option<(String, String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Where a redirection leads: an address, or a path on the same host. Never from https to http.
fn joined(address: &str, location: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let next = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", uri.authority()?)
    } else {
        location.to_owned()
    };
    let (to, _, _) = origin(&next)?;
    (to == "https" || (to == "http" && scheme == "http")).then_some(next)
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The error for a request that no answer came to, or none that can be understood.
pub(super) fn failed(address: &str, error: ureq::Error) -> HubError {
    use ureq::Error;
    if let Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) = error {
        return HubError::answer(address, "an answer in HTTP", &error.to_string());
    }
    HubError::NoNetwork { address: address.to_owned(), source: Box::new(error) }
}

/// The error for an answer that is no success, told by the hub's own words for it.
pub(super) fn refused(
    model: &HubModel,
    hub: &Hub,
    address: &str,
    file: Option<&str>,
    status: StatusCode,
    headers: &HeaderMap,
) -> HubError {
    let message = header(headers, "x-error-message").map(shortened).unwrap_or_default();
    let code = header(headers, "x-error-code").unwrap_or_default();
    let repository = &model.repository;
    let not_found = |what, name| HubError::NotFound {
        what,
        name,
        message: message.clone(),
        page: hub.page(model),
    };
    match (status.as_u16(), code) {
        (404, "RevisionNotFound") => {
            not_found("revision", format!("{} of {repository}", model.revision))
        }
        (404, _) if file.is_some() => {
            not_found("file", format!("{} in {repository}", file.unwrap_or_default()))
        }
        (404, _) => not_found("repository or revision", format!("{repository}@{}", model.revision)),
        (status @ (401 | 403), _) => HubError::Refused {
            model: model.to_string(),
            status,
            message: message.clone(),
            gated: code == "GatedRepo",
            with_token: hub.token.is_some(),
            page: hub.page(model),
        },
        (status, _) => HubError::Status { address: address.to_owned(), status, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_lead_to_addresses_and_never_out_of_https() {
        let from = "https://hub/a/b";
        assert_eq!(joined(from, "/c?d").as_deref(), Some("https://hub/c?d"));
        assert_eq!(joined(from, "//other/c").as_deref(), Some("https://other/c"));
        assert_eq!(joined(from, "https://other:8/c").as_deref(), Some("https://other:8/c"));
        assert_eq!(joined("http://hub/a", "http://other/c").as_deref(), Some("http://other/c"));
        for wrong in ["http://other/c", "file:///etc/passwd", "c/d", "", "https://"] {
            assert_eq!(joined(from, wrong), None, "{wrong}");
        }
        assert_eq!(origin("https://Hub/x"), origin("https://hub:443/y"));
        assert_ne!(origin("https://hub.org/x"), origin("https://hub.org.evil/x"));
        assert_ne!(origin("http://hub/x"), origin("http://hub:8080/x"));
    }
}
