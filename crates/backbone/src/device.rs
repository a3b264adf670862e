//! Naming a device (`flex`, `wgpu:1`, `cuda:0`), opening it, and saying what this build can open.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

pub use burn::tensor::Device;
use burn::tensor::Tensor;
use thiserror::Error;

use crate::source::nearest;

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Burn's own CPU backend.
    Flex,
    /// Any GPU through wgpu and WGSL.
    Wgpu,
    /// A GPU through Vulkan and SPIR-V.
    Vulkan,
    /// An NVIDIA GPU.
    Cuda,
    /// libtorch.
    Tch,
}

impl Kind {
    /// Every kind, in the order in which `ptune doctor` lists them.
    pub const ALL: [Self; 5] = [Self::Flex, Self::Wgpu, Self::Vulkan, Self::Cuda, Self::Tch];

    /// Its name in a config, on the command line and as a Cargo feature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
            Self::Tch => "tch",
        }
    }

    /// What it is, in a few words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Flex => "CPU: Burn's flex backend, SIMD and threads",
            Self::Wgpu => "GPU: wgpu (Vulkan, Metal, DirectX 12) with WGSL kernels",
            Self::Vulkan => "GPU: Vulkan with SPIR-V kernels",
            Self::Cuda => "GPU: NVIDIA CUDA",
            Self::Tch => "CPU or GPU: libtorch",
        }
    }

    /// Whether this program was built with it.
    pub const fn is_built(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Tch => cfg!(feature = "tch"),
        }
    }
}

/// Which device of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Place {
    /// The backend's own choice.
    #[default]
    Default,
    /// The GPU of this number.
    Index(usize),
    /// A software adapter (wgpu, vulkan).
    Cpu,
}

/// A device by name: `flex`, `wgpu`, `wgpu:0`, `wgpu:cpu`, `vulkan`, `cuda:1`, `tch`, `tch:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceSpec {
    /// Which backend.
    pub kind: Kind,
    /// Which of its devices.
    pub place: Place,
}

/// A device that cannot be named or opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not the name of a device.
    #[error(
        "unknown device '{found}'; expected flex, wgpu, vulkan, cuda or tch, with a number or \
         'cpu' after a colon where there are several (wgpu:0, wgpu:cpu){}",
        nearest.map(|name| format!("\nhint: did you mean '{name}'?")).unwrap_or_default()
    )]
    Unknown {
        /// What was asked for.
        found: String,
        /// The most similar name.
        nearest: Option<&'static str>,
    },
    /// Left out when this program was built.
    #[error(
        "this ptune was built without the device '{0}'\nhint: cargo build --release --features {0}"
    )]
    NotBuilt(&'static str),
    /// The driver or the hardware is not there.
    #[error(
        "the device '{device}' cannot be used: {reason}\nhint: `ptune doctor` lists what works here"
    )]
    Unusable {
        /// What was asked for.
        device: DeviceSpec,
        /// What the backend says.
        reason: String,
    },
}

impl FromStr for DeviceSpec {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || DeviceError::Unknown {
            found: text.to_owned(),
            nearest: nearest(text, Kind::ALL.map(Kind::name)),
        };
        let (name, place) = match text.split_once(':') {
            Some((name, place)) => (name, Some(place)),
            None => (text, None),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)?;
        let place = match place {
            None => Place::Default,
            Some("cpu") if matches!(kind, Kind::Wgpu | Kind::Vulkan) => Place::Cpu,
            Some(_) if kind == Kind::Flex => return Err(unknown()),
            Some(index) => Place::Index(index.parse().map_err(|_| unknown())?),
        };
        Ok(Self { kind, place })
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.place {
            Place::Default => Ok(()),
            Place::Index(index) => write!(f, ":{index}"),
            Place::Cpu => f.write_str(":cpu"),
        }
    }
}

impl DeviceSpec {
    /// Opens the device and runs one small product on it, so that a missing driver is an error
    /// here and not a panic later.
    ///
    /// # Errors
    /// A kind that was not built in, or a device that does not work.
    pub fn open(self) -> Result<Device, DeviceError> {
        if !self.kind.is_built() {
            return Err(DeviceError::NotBuilt(self.kind.name()));
        }
        let unusable = |reason| DeviceError::Unusable { device: self, reason };
        // GPU backends report a missing adapter by panicking, whatever the call.
        let probe = AssertUnwindSafe(|| {
            let device = self.device()?;
            let one = Tensor::<2>::ones([2, 2], &device);
            let two = one.clone().matmul(one).into_data();
            two.iter::<f32>().all(|x| x == 2.0).then_some(device)
        });
        match silenced(|| catch_unwind(probe)) {
            Ok(Some(device)) => Ok(device),
            Ok(None) => Err(unusable("a 2 × 2 product came out wrong".to_owned())),
            Err(panic) => Err(unusable(message(panic.as_ref()))),
        }
    }

    #[cfg_attr(feature = "tch", allow(deprecated, reason = "0.22 is the last Burn with libtorch"))]
    fn device(self) -> Option<Device> {
        match self.kind {
            #[cfg(feature = "flex")]
            Kind::Flex => Some(Device::flex()),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => Some(Device::wgpu(self.gpu())),
            #[cfg(feature = "vulkan")]
            Kind::Vulkan => Some(Device::vulkan(self.gpu())),
            #[cfg(feature = "cuda")]
            Kind::Cuda => Some(match self.place {
                Place::Index(index) => Device::cuda(index),
                Place::Default | Place::Cpu => Device::cuda(burn::tensor::DeviceIndex::Default),
            }),
            #[cfg(feature = "tch")]
            Kind::Tch => Some(match self.place {
                Place::Index(index) => Device::libtorch_cuda(index),
                Place::Default | Place::Cpu => Device::libtorch(),
            }),
            #[allow(unreachable_patterns, reason = "every kind may be built in")]
            _ => None,
        }
    }

    #[cfg(feature = "wgpu")]
    fn gpu(self) -> burn::tensor::DeviceKind {
        use burn::tensor::DeviceKind;
        match self.place {
            Place::Default => DeviceKind::DefaultDevice,
            Place::Index(index) => DeviceKind::DiscreteGpu(index),
            Place::Cpu => DeviceKind::Cpu,
        }
    }
}

/// Whether a device is Burn's own CPU backend, whose tensors the kernels read in place.
pub fn is_cpu(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    {
        *device == Device::flex()
    }
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// Runs `f` without the panic message on stderr: the caller turns the panic into an error.
fn silenced<T>(f: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = f();
    std::panic::set_hook(hook);
    result
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the backend gave no reason").lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["flex", "wgpu", "wgpu:1", "wgpu:cpu", "vulkan:0", "cuda:3", "tch"] {
            assert_eq!(name.parse::<DeviceSpec>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_nearest_name() {
        for name in ["", "gpu", "flex:0", "cuda:one", "wgpu:-1", "cuda:"] {
            assert!(name.parse::<DeviceSpec>().is_err(), "{name}");
        }
        let error = "flexx".parse::<DeviceSpec>().unwrap_err().to_string();
        assert!(error.contains("did you mean 'flex'"), "{error}");
    }
}
