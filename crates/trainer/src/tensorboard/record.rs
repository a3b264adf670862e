//! The bytes of an event file: records of TFRecord, each of which holds an `Event` in protobuf's encoding.
//!
//! A record is its length (u64), the masked CRC-32C of these eight bytes, the data, and the data's masked
//! CRC-32C, all little-endian. Of TensorFlow's messages only what scalars need is here:
//!
//! | message | fields |
//! |---|---|
//! | `Event` | 1 `wall_time` double, 2 `step` int64, 3 `file_version` string, 5 `summary` |
//! | `Summary` | 1 `value`, repeated |
//! | `Summary.Value` | 1 `tag` string, 2 `simple_value` float |
//!
//! Source: `tensorflow/core/lib/io/record_writer.h`, `event.proto` and `summary.proto`.

/// What the first record of a file says.
const FILE_VERSION: &str = "brain.Event:2";

/// Numbers of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// Optimiser steps so far.
    pub step: u64,
    /// Numbers by their tags; none in the record that opens a file.
    pub scalars: Vec<(String, f32)>,
}

impl Event {
    /// The event as a record.
    pub fn record(&self) -> Vec<u8> {
        let mut summary = Vec::new();
        for (tag, number) in &self.scalars {
            let mut value = Vec::new();
            bytes_field(&mut value, 1, tag.as_bytes());
            value.push(2 << 3 | FOUR_BYTES);
            value.extend(number.to_le_bytes());
            bytes_field(&mut summary, 1, &value);
        }
        let mut event = self.head();
        bytes_field(&mut event, 5, &summary);
        framed(&event)
    }

    /// The record that opens a file which is begun at `wall_time`.
    pub fn opening(wall_time: f64) -> Vec<u8> {
        let mut event = Self { wall_time, ..Self::default() }.head();
        bytes_field(&mut event, 3, FILE_VERSION.as_bytes());
        framed(&event)
    }

    fn head(&self) -> Vec<u8> {
        let mut event = vec![1 << 3 | EIGHT_BYTES];
        event.extend(self.wall_time.to_le_bytes());
        event.push(2 << 3 | VARINT);
        varint(&mut event, self.step);
        event
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut event = Self::default();
        for field in fields(bytes)? {
            match field {
                (1, Field::Eight(bytes)) => event.wall_time = f64::from_le_bytes(bytes),
                (2, Field::Varint(step)) => event.step = step,
                (5, Field::Bytes(summary)) => {
                    for field in fields(summary)? {
                        if let (1, Field::Bytes(value)) = field {
                            event.scalars.push(scalar(value)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Some(event)
    }
}

fn scalar(bytes: &[u8]) -> Option<(String, f32)> {
    let (mut tag, mut number) = (String::new(), 0.0);
    for field in fields(bytes)? {
        match field {
            (1, Field::Bytes(text)) => tag = String::from_utf8(text.to_vec()).ok()?,
            (2, Field::Four(bytes)) => number = f32::from_le_bytes(bytes),
            _ => {}
        }
    }
    Some((tag, number))
}

/// The events of a file, each with the place where its record ends, up to the first record that is cut short
/// or damaged.
pub fn events(file: &[u8]) -> Vec<(Event, usize)> {
    let mut events = Vec::new();
    let mut rest = file;
    while let Some((data, after)) = unframed(rest)
        && let Some(event) = Event::parse(data)
    {
        events.push((event, file.len() - after.len()));
        rest = after;
    }
    events
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// The data of the first record, and what follows it.
fn unframed(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != masked_crc(length) {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == masked_crc(data)).then_some((data, rest))
}

/// TFRecord rotates and shifts its checksums, so that a checksum of data that holds checksums stays strong.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a record has a hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

// Protobuf's wire types.
const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const LENGTH: u8 = 2;
const FOUR_BYTES: u8 = 5;

enum Field<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(&'a [u8]),
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | LENGTH);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Number and content of each field of a message; `None` where it is none.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_varint(&mut bytes)?;
        let field = match (key & 7) as u8 {
            VARINT => Field::Varint(read_varint(&mut bytes)?),
            EIGHT_BYTES => Field::Eight(take(&mut bytes, 8)?.try_into().ok()?),
            FOUR_BYTES => Field::Four(take(&mut bytes, 4)?.try_into().ok()?),
            LENGTH => {
                let length = usize::try_from(read_varint(&mut bytes)?).ok()?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            _ => return None,
        };
        fields.push((key >> 3, field));
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let scalars = vec![("train/loss".to_owned(), 1.5), ("dev/P@1".to_owned(), 0.25)];
        Event { wall_time: 1.7e9, step: 300, scalars }
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    /// What TensorFlow's writer makes of the first event of a file that is begun at 1 second.
    #[test]
    fn a_file_opens_as_tensorflows_do() {
        let record = Event::opening(1.0);
        assert_eq!(record[..8], 26u64.to_le_bytes());
        assert_eq!(record[12..21], [9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(record[21..38], *b"\x10\x00\x1a\x0dbrain.Event:2");
    }

    #[test]
    fn what_is_cut_short_or_damaged_ends_the_events() {
        let mut file = Event::opening(1.0);
        let opening = file.len();
        file.extend(event().record());
        let first = file.len();
        file.extend(event().record());
        let read = events(&file);
        let ends: Vec<usize> = read.iter().map(|(_, end)| *end).collect();
        assert_eq!(ends, [opening, first, file.len()]);
        assert_eq!((read[0].0.scalars.len(), &read[2].0), (0, &event()));
        for length in first..file.len() {
            assert_eq!(events(&file[..length]).len(), 2, "cut to {length}");
        }
        for index in opening..first {
            let mut damaged = file.clone();
            damaged[index] ^= 4;
            assert_eq!(events(&damaged).len(), 1, "a bit of byte {index}");
        }
    }
}
