//! Bytes of a file or of a member of an archive, decompressed and counted. A file's are
//! decompressed on a thread of their own.

#![expect(clippy::disallowed_methods, reason = "source/ is the only reader of the outside")]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::codec::Codec;
use super::limits::{Bounds, HEAD, Limits, size};

/// Bytes that are handed from thread to thread at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait: decompression and analysis overlap, memory stays bounded.
const AHEAD: usize = 8;

/// A file that can be read more than once.
#[derive(Clone)]
pub(super) enum Store {
    /// By its path.
    Path(PathBuf),
    /// What came from a stream, in a file without a name.
    Spool(Arc<File>),
    /// A stream, which can be read only once.
    Once(Arc<Mutex<Option<Stream>>>),
}

/// A stream as a whole.
type Stream = Box<dyn Read + Send>;

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Path(_) => "Path",
            Self::Spool(_) => "Spool",
            Self::Once(_) => "Once",
        })
    }
}

impl Store {
    /// The file. Of a spool's file nobody else may use the position.
    pub(super) fn file(&self) -> io::Result<File> {
        match self {
            Self::Path(path) => File::open(path),
            Self::Spool(file) => file.try_clone(),
            Self::Once(_) => Err(io::Error::other("a stream cannot be read twice")),
        }
    }

    /// A reader of all of it.
    pub(super) fn reader(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Path(path) => Box::new(File::open(path)?),
            Self::Spool(file) => Box::new(At { file: Arc::clone(file), position: 0 }),
            Self::Once(stream) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
                stream.ok_or_else(|| io::Error::other("a stream cannot be read twice"))?
            }
        })
    }

    /// A stream that is read once.
    pub(super) fn once(stream: Stream) -> Self {
        Self::Once(Arc::new(Mutex::new(Some(stream))))
    }

    /// Keeps what a reader gives in a file without a name; nobody can open it, and it is gone with
    /// the program. Answers how many bytes there were.
    pub(super) fn spool(reader: &mut dyn Read, most: u64) -> io::Result<(Self, u64)> {
        let mut file = tempfile::tempfile()?;
        let length = io::copy(&mut reader.take(most.saturating_add(1)), &mut file)?;
        if length > most {
            return Err(io::Error::other(format!("longer than {}", size(most))));
        }
        Ok((Self::Spool(Arc::new(file)), length))
    }
}

/// A file's bytes by a position of their own.
struct At {
    file: Arc<File>,
    position: u64,
}

impl Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buf, self.position)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

/// Opens a file and undoes `codec`; expansion beyond `limits` ends the stream with an error.
pub(super) fn open(store: &Store, codec: Codec, limits: Limits) -> io::Result<Metered<'static>> {
    let file = store.reader()?;
    let meter = Rc::new(Meter::new(limits, None));
    let inner: Box<dyn Read> = if codec == Codec::Plain {
        Box::new(io::BufReader::with_capacity(CHUNK, file))
    } else {
        let counted = Counted { inner: file, read: Arc::clone(&meter.packed) };
        Box::new(Ahead::start(codec, counted))
    };
    Ok(Metered::new(inner, meter, codec != Codec::Plain))
}

/// Undoes the compression of a member of an archive by `decode`; all such members together may
/// expand to no more than `bounds` allow.
pub(super) fn nested<'r>(
    reader: &'r mut dyn Read,
    bounds: &Rc<Bounds>,
    decode: impl FnOnce(Box<dyn Read + 'r>) -> Box<dyn Read + 'r>,
) -> Metered<'r> {
    let meter = Rc::new(Meter::new(bounds.limits, Some(Rc::clone(bounds))));
    let counted = Counted { inner: reader, read: Arc::clone(&meter.packed) };
    Metered::new(decode(Box::new(counted)), meter, true)
}

/// Counts what is read from the file.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads ahead on a thread of its own.
struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ahead {
    fn start(codec: Codec, packed: Counted<Box<dyn Read + Send>>) -> Self {
        let (sender, chunks) = sync_channel(AHEAD);
        thread::spawn(move || {
            pump(&mut codec.decode(io::BufReader::with_capacity(CHUNK, packed)), &sender);
        });
        Self { chunks, chunk: Vec::new(), at: 0, ended: false }
    }
}

/// Sends chunks until the end (an empty chunk) or an error; stops when nobody listens any more.
fn pump(reader: &mut dyn Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let result = (&mut *reader).take(CHUNK as u64).read_to_end(&mut chunk);
        let ended = chunk.is_empty();
        // What came before an error is good. A send fails when nobody listens any more.
        let sent = (ended && result.is_err()) || sender.send(Ok(chunk)).is_ok();
        if let Err(error) = result {
            let _ = sender.send(Err(error));
            return;
        }
        if ended || !sent {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !self.ended {
            self.at = 0;
            self.chunk.clear();
            match self.chunks.recv() {
                Ok(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    self.chunk = chunk;
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                // The thread ended without a word: the decoder panicked.
                Err(_) => {
                    self.ended = true;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the decoder failed"));
                }
            }
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

/// What is known of a stream while another holds its reader.
pub(super) struct Meter {
    limits: Limits,
    /// What is shared with all nested streams of the input.
    shared: Option<Rc<Bounds>>,
    packed: Arc<AtomicU64>,
    read: Cell<u64>,
    budget: Cell<Option<u64>>,
    zeros: Cell<u64>,
    breach: RefCell<Option<String>>,
}

impl Meter {
    fn new(limits: Limits, shared: Option<Rc<Bounds>>) -> Self {
        Self {
            limits,
            shared,
            packed: Arc::new(AtomicU64::new(0)),
            read: Cell::new(0),
            budget: Cell::new(None),
            zeros: Cell::new(0),
            breach: RefCell::new(None),
        }
    }

    /// From now on no more than this may be read; `None` lifts the bound.
    pub(super) fn budget(&self, bytes: Option<u64>) {
        self.budget.set(bytes);
    }

    /// The limit that ended the stream.
    pub(super) fn breach(&self) -> Option<String> {
        self.breach.borrow().clone()
    }

    /// How many of the bytes read last were zero.
    pub(super) fn zeros(&self) -> u64 {
        self.zeros.get()
    }

    fn check(&self, packed: bool) -> Result<(), String> {
        let (read, limits) = (self.read.get(), &self.limits);
        if self.budget.get() == Some(0) {
            return Err(format!("member names of more than {}", size(limits.header)));
        }
        if !packed {
            return if read < limits.plain {
                Ok(())
            } else {
                Err(format!("more than {}", size(limits.plain)))
            };
        }
        if self.shared.as_ref().is_some_and(|s| s.expanded.get() >= limits.total) {
            return Err(format!("all nested files expand to more than {}", size(limits.total)));
        }
        if read >= limits.total {
            return Err(format!("it expands to more than {}", size(limits.total)));
        }
        // The decoder's thread reads ahead, so this errs towards patience.
        let from = self.packed.load(Ordering::Relaxed).max(1);
        if read >= limits.ratio_from && read / from >= limits.ratio {
            return Err(format!("it expands more than {} times", limits.ratio));
        }
        Ok(())
    }

    fn count(&self, bytes: &[u8]) {
        let n = bytes.len() as u64;
        self.read.set(self.read.get().saturating_add(n));
        if let Some(shared) = &self.shared {
            shared.expanded.set(shared.expanded.get().saturating_add(n));
        }
        self.budget.set(self.budget.get().map(|b| b.saturating_sub(n)));
        let tail = bytes.iter().rev().take_while(|b| **b == 0).count() as u64;
        self.zeros.set(if tail == n { self.zeros.get().saturating_add(n) } else { tail });
    }
}

/// A stream that keeps to its limits.
pub(super) struct Metered<'r> {
    inner: Box<dyn Read + 'r>,
    /// Bytes that were looked at before they are read, and the error after them.
    ahead: io::Cursor<Vec<u8>>,
    error: Option<io::Error>,
    meter: Rc<Meter>,
    packed: bool,
}

impl<'r> Metered<'r> {
    fn new(inner: Box<dyn Read + 'r>, meter: Rc<Meter>, packed: bool) -> Self {
        Self { inner, ahead: io::Cursor::default(), error: None, meter, packed }
    }

    /// The first bytes, which are still to be read, and why there are no more of them.
    pub(super) fn peek(&mut self) -> (&[u8], Option<String>) {
        let mut bytes = Vec::new();
        self.error = (&mut self.inner).take(HEAD as u64).read_to_end(&mut bytes).err();
        self.ahead = io::Cursor::new(bytes);
        (self.ahead.get_ref(), self.error.as_ref().map(ToString::to_string))
    }

    /// The stream's counters.
    pub(super) fn meter(&self) -> Rc<Meter> {
        Rc::clone(&self.meter)
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Err(breach) = self.meter.check(self.packed) {
            self.meter.breach.borrow_mut().get_or_insert(breach.clone());
            return Err(io::Error::other(breach));
        }
        let most = self
            .meter
            .budget
            .get()
            .map_or(buf.len(), |b| usize::try_from(b).unwrap_or(usize::MAX).min(buf.len()));
        let buf = buf.get_mut(..most).unwrap_or_default();
        let mut read = self.ahead.read(buf)?;
        if read == 0 {
            read = self.error.take().map_or_else(|| self.inner.read(buf), Err)?;
        }
        self.meter.count(buf.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ahead_ends_with_an_error_and_when_nobody_listens() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (sender, chunks) = sync_channel(AHEAD);
        pump(&mut (&b"good"[..]).chain(Broken), &sender);
        assert_eq!(chunks.recv().unwrap().unwrap(), b"good");
        assert_eq!(chunks.recv().unwrap().unwrap_err().to_string(), "broken");
        drop(chunks);
        pump(&mut Broken, &sender);
        pump(&mut io::repeat(0), &sender);
    }
}
