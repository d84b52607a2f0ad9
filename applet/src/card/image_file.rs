//! A card's memory as one file: a header and two slots. A commit writes one slot, in one write, while
//! the other holds the image before, and then the other too: what a commit wiped is gone from the file,
//! and damage to one slot does not bring it back. What counts is the slot with a right checksum and the
//! higher sequence number.
//!
//! | where | what |
//! |---|---|
//! | 0 | magic (8), format version (4), zeros |
//! | 4096, 4096 + slot | sequence (8), length (4), SHA-256 over both and the image (32), image |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use onetap_apdu_spec::crypto::{Digest, default_provider};
use zeroize::Zeroizing;

use super::nvm::{MAX_IMAGE, Nvm, NvmError};

const MAGIC: [u8; 8] = *b"OneTapCI";
/// Format of the file; the image inside has a version of its own.
const FORMAT: u32 = 1;
const HEADER_LEN: usize = 4096;
const SLOT_HEADER: usize = 8 + 4 + 32;
const SLOT_LEN: usize = SLOT_HEADER + MAX_IMAGE;
/// Only the owner reads or writes: the image holds keys.
const MODE: u32 = 0o600;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// Wait at each commit until the disk has it. Without, a commit survives the death of the process
    /// but perhaps not that of the machine.
    pub durable: bool,
}

/// A card's memory in a file that one process at a time may open.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    path: PathBuf,
    options: ImageOptions,
    /// Sequence number of the newest image; 0 before the first.
    sequence: u64,
    /// Where the newest image is.
    current: usize,
    /// A slot as it is written, so that a commit is one write.
    buffer: Zeroizing<Vec<u8>>,
}

impl ImageFile {
    /// Makes a new file, for its owner only, at its full size.
    ///
    /// # Errors
    /// [`NvmError::Exists`], [`NvmError::InUse`], [`NvmError::Io`].
    pub fn create(path: &Path, options: ImageOptions) -> Result<Self, NvmError> {
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path);
        let file = open.map_err(|why| match why.kind() {
            ErrorKind::AlreadyExists => NvmError::Exists(path.to_owned()),
            _ => io_error("create", path, why),
        })?;
        let mut image = Self::locked(file, path, options)?;
        image.format().inspect_err(|_| {
            // Only what was made here, a moment ago, is removed.
            let _ = std::fs::remove_file(path);
        })?;
        Ok(image)
    }

    /// Opens a file made by [`ImageFile::create`].
    ///
    /// # Errors
    /// [`NvmError`].
    pub fn open(path: &Path, options: ImageOptions) -> Result<Self, NvmError> {
        let open = OpenOptions::new().read(true).write(true).open(path);
        let file = open.map_err(|why| io_error("open", path, why))?;
        let image = Self::locked(file, path, options)?;
        image.check_header()?;
        Ok(image)
    }

    fn locked(file: File, path: &Path, options: ImageOptions) -> Result<Self, NvmError> {
        file.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => NvmError::InUse(path.to_owned()),
            TryLockError::Error(why) => io_error("lock", path, why),
        })?;
        let buffer = Zeroizing::new(Vec::with_capacity(SLOT_LEN));
        Ok(Self { file, path: path.to_owned(), options, sequence: 0, current: 1, buffer })
    }

    /// Writes header and empty slots in full, so that the disk space is there from the start.
    fn format(&mut self) -> Result<(), NvmError> {
        let mut all = vec![0; HEADER_LEN + 2 * SLOT_LEN];
        let header = MAGIC.into_iter().chain(FORMAT.to_be_bytes());
        all.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        let written = self.file.write_all_at(&all, 0).and_then(|()| self.file.sync_all());
        written.map_err(|why| io_error("create", &self.path, why))
    }

    fn check_header(&self) -> Result<(), NvmError> {
        let mut header = [0; 12];
        self.file.read_exact_at(&mut header, 0).map_err(|why| match why.kind() {
            ErrorKind::UnexpectedEof => NvmError::NotAnImage(self.path.clone()),
            _ => io_error("read", &self.path, why),
        })?;
        let [magic @ .., a, b, c, d] = header;
        match u32::from_be_bytes([a, b, c, d]) {
            _ if magic != MAGIC => Err(NvmError::NotAnImage(self.path.clone())),
            FORMAT => Ok(()),
            found => Err(NvmError::Version { path: self.path.clone(), found, known: FORMAT }),
        }
    }

    fn read_slot(&self, slot: usize) -> Result<Slot, NvmError> {
        let mut bytes = Zeroizing::new(vec![0; SLOT_LEN]);
        match self.file.read_exact_at(&mut bytes, offset(slot)) {
            Ok(()) => Ok(Slot::parse(&bytes)),
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => Ok(Slot::Damaged),
            Err(why) => Err(io_error("read", &self.path, why)),
        }
    }

    fn write_slot(&self, slot: usize) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, offset(slot))?;
        if self.options.durable { self.file.sync_data() } else { Ok(()) }
    }
}

impl Nvm for ImageFile {
    fn load(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, NvmError> {
        let newest = match (self.read_slot(0)?, self.read_slot(1)?) {
            (Slot::Empty, Slot::Empty) => return Ok(None),
            (Slot::Valid(a, image), Slot::Valid(b, _)) if a > b => (0, a, image),
            (_, Slot::Valid(sequence, image)) => (1, sequence, image),
            (Slot::Valid(sequence, image), _) => (0, sequence, image),
            _ => return Err(NvmError::Damaged(self.path.clone())),
        };
        (self.current, self.sequence) = (newest.0, newest.1);
        Ok(Some(newest.2))
    }

    fn commit(&mut self, image: &[u8]) -> Result<(), NvmError> {
        if image.len() > MAX_IMAGE {
            return Err(NvmError::TooLarge(image.len()));
        }
        let (sequence, slot) = (self.sequence + 1, 1 - self.current);
        let len = u32::try_from(image.len()).map_err(|_| NvmError::TooLarge(image.len()))?;
        self.buffer.clear();
        self.buffer.extend(sequence.to_be_bytes());
        self.buffer.extend(len.to_be_bytes());
        self.buffer.extend(checksum(sequence, len, image));
        self.buffer.extend(image);
        self.buffer.resize(SLOT_LEN, 0);
        self.write_slot(slot).map_err(|why| {
            // What may have been written must not count later. If this fails too, the slot holds at
            // worst a whole image that the caller took for lost.
            let _ = self.file.write_all_at(&[0; SLOT_HEADER], offset(slot));
            io_error("write", &self.path, why)
        })?;
        (self.sequence, self.current) = (sequence, slot);
        // The commit stands even if this fails; the next one writes there first.
        let _ = self.file.write_all_at(&self.buffer, offset(1 - slot));
        Ok(())
    }
}

enum Slot {
    /// Never written.
    Empty,
    /// Its checksum holds.
    Valid(u64, Zeroizing<Vec<u8>>),
    /// Its checksum does not hold.
    Damaged,
}

impl Slot {
    fn parse(bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Empty;
        }
        Self::parse_written(bytes).unwrap_or(Self::Damaged)
    }

    fn parse_written(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (stored, rest) = rest.split_first_chunk::<32>()?;
        let (sequence, len) = (u64::from_be_bytes(*sequence), u32::from_be_bytes(*len));
        let image = rest.get(..usize::try_from(len).ok()?)?;
        let valid = checksum(sequence, len, image) == *stored;
        valid.then(|| Self::Valid(sequence, Zeroizing::new(image.to_vec())))
    }
}

fn offset(slot: usize) -> u64 {
    (HEADER_LEN + slot * SLOT_LEN) as u64
}

fn checksum(sequence: u64, len: u32, image: &[u8]) -> Digest {
    default_provider().sha256(&[&sequence.to_be_bytes(), &len.to_be_bytes(), image])
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> NvmError {
    NvmError::Io { what, path: path.to_owned(), source }
}
