//! The Journal JSON Format: `journalctl -o json`, and json-pretty, json-seq and json-sse.
//!
//! One object per entry, whatever stands between them. A value is a string, an array of numbers
//! where it is no valid text, an array of values where the field was given several times, or null
//! where it was too long for journalctl. See <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.

use std::fmt;
use std::io::{self, BufRead};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Entries;
use super::entry::{Entry, Field};

/// Bytes of an object.
const OBJECT: usize = 16 << 20;
/// RFC 7464 puts it before each object.
const RECORD_SEPARATOR: u8 = 0x1e;

/// A journal as JSON.
pub(super) struct Json<R> {
    reader: R,
    framing: Framing,
}

/// Cuts text into objects.
#[derive(Default)]
struct Framing {
    object: Vec<u8>,
    frame: Frame,
    broken: u64,
}

/// Where in an object the reader is.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// Braces that are open.
    depth: u32,
    string: bool,
    escaped: bool,
    /// The last byte ended a line.
    line_start: bool,
}

/// What a byte means for the object it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Between objects.
    Outside,
    Inside,
    /// The object's last byte.
    Whole,
    /// The object that was begun is broken; another may begin here.
    Broken,
}

impl Frame {
    fn step(&mut self, byte: u8) -> Step {
        let line_start = std::mem::replace(&mut self.line_start, byte == b'\n');
        if self.depth == 0 {
            self.depth = u32::from(byte == b'{');
            return if self.depth == 0 { Step::Outside } else { Step::Inside };
        }
        // Inside an object no line begins like this, and no string has a line end.
        let another = line_start && matches!(byte, b'{' | b'd') || byte == RECORD_SEPARATOR;
        if another || self.string && byte == b'\n' {
            *self = Self { line_start: self.line_start, ..Self::default() };
            return Step::Broken;
        }
        if self.string {
            self.string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return Step::Inside;
        }
        match byte {
            b'"' => self.string = true,
            b'{' => self.depth = self.depth.saturating_add(1),
            b'}' => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 { Step::Whole } else { Step::Inside }
    }
}

impl Framing {
    /// Takes a byte; whether it is the last of an object.
    fn take(&mut self, byte: u8) -> bool {
        let step = self.frame.step(byte);
        match step {
            Step::Outside => {}
            // An object that the limit cuts short does not parse, and is counted then.
            Step::Inside | Step::Whole if self.object.len() >= OBJECT => {}
            Step::Inside | Step::Whole => self.object.push(byte),
            Step::Broken => {
                self.broken += 1;
                self.object.clear();
                if self.frame.step(byte) == Step::Inside {
                    self.object.push(byte);
                }
            }
        }
        step == Step::Whole
    }

    fn end(&mut self) {
        self.broken += u64::from(self.frame.depth > 0);
        self.frame = Frame::default();
    }
}

impl<R: BufRead> Json<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, framing: Framing::default() }
    }

    /// Reads on to the end of the next object; false where there is none.
    fn object(&mut self) -> io::Result<bool> {
        let framing = &mut self.framing;
        framing.object.clear();
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                framing.end();
                return Ok(false);
            }
            let end = bytes.iter().position(|byte| framing.take(*byte));
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Entries for Json<R> {
    fn next(&mut self, entry: &mut Entry) -> io::Result<bool> {
        while self.object()? {
            match serde_json::from_slice::<Fields>(&self.framing.object) {
                Ok(fields) => {
                    fields.0.iter().for_each(|(field, value)| entry.set(*field, value));
                    return Ok(true);
                }
                Err(_) => self.framing.broken += 1,
            }
        }
        Ok(false)
    }

    fn lost(&self) -> Option<String> {
        broken(self.framing.broken)
    }
}

/// What is said of entries that are broken.
pub(super) fn broken(entries: u64) -> Option<String> {
    match entries {
        0 => None,
        1 => Some("an entry of the journal is broken or cut off".to_owned()),
        n => Some(format!("{n} entries of the journal are broken or cut off")),
    }
}

/// The fields of an object that matter.
struct Fields(Vec<(Field, Vec<u8>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry of a journal")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(Key(field)) = map.next_key()? {
                    match field {
                        Some(field) => {
                            fields.extend(bytes(&map.next_value()?).map(|value| (field, value)));
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A field's name.
struct Key(Option<Field>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key(Field::named(name.as_bytes())))
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}

/// A value's bytes; of several values those of the last.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |v: &Value| v.as_u64().and_then(|n| u8::try_from(n).ok());
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(values) => match values.last() {
            Some(Value::Number(_)) => values.iter().map(byte).collect(),
            // Values of several; none of them is an array of such again.
            Some(Value::String(text)) => Some(text.clone().into_bytes()),
            Some(Value::Array(last)) => last.iter().map(byte).collect(),
            _ => None,
        },
        _ => None,
    }
}
