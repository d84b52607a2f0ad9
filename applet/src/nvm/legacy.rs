//! Images of format 1: one image as a whole in two slots, each with sequence (8), length (4), SHA-256 over
//! both and the image (32), image. They are read, and replaced by one of today.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use onetap_apdu_spec::crypto::default_provider;
use tempfile::Builder;
use zeroize::Zeroizing;

use super::file::{ImageFile, ImageOptions, io_error, open_locked, sync_folder};
use super::header::Header;
use super::{Image, NvmError};

const HEADER_LEN: usize = 4096;
const SLOT_LEN: usize = 8 + 4 + 32 + 16 * 1024;

/// What an image of format 1 holds: the newest whole copy.
///
/// # Errors
/// [`NvmError::NotAnImage`] if the file has another format; [`NvmError::Empty`] if it never held a card;
/// [`NvmError::Damaged`] if no copy is whole; [`NvmError::InUse`], [`NvmError::Io`].
pub fn read_format_1(path: &Path) -> Result<Zeroizing<Vec<u8>>, NvmError> {
    let (_lock, content) = read_locked(path)?;
    Ok(content)
}

/// Replaces an image of format 1 by one of today, in one step: `convert` gets what the old one holds and a
/// fresh image, and what it makes of them takes the old one's name. After an error or a kill there is the
/// old one or the new one, whole. Give the new memory back from `convert` to go on with it.
///
/// # Errors
/// As [`read_format_1`]; errors of `convert`.
pub fn replace_format_1<T, E: From<NvmError>>(
    path: &Path,
    options: ImageOptions,
    convert: impl FnOnce(&[u8], Box<dyn Image>) -> Result<T, E>,
) -> Result<T, E> {
    // Not a link to it, which would leave the old card behind.
    let path = &fs::canonicalize(path).map_err(|why| io_error("open", path, why))?;
    let (_lock, content) = read_locked(path)?;
    let failed = |why| io_error("replace", path, why);
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Under a name that nobody has; it goes away unless it takes the old one's.
    let create = |beside: &Path| ImageFile::create(beside, options).map_err(io::Error::other);
    let beside = Builder::new().prefix(".").suffix(".converting").make_in(folder, create);
    let (image, beside) = beside.map_err(failed)?.into_parts();
    let file = image.try_clone()?;
    let made = convert(&content, Box::new(image.named(path)))?;
    file.sync_all().map_err(failed)?;
    beside.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(path).map_err(failed)?;
    Ok(made)
}

fn read_locked(path: &Path) -> Result<(File, Zeroizing<Vec<u8>>), NvmError> {
    let (file, size) = open_locked(path)?;
    let mut bytes = Zeroizing::new(vec![0; size.min(HEADER_LEN + 2 * SLOT_LEN)]);
    file.read_exact_at(&mut bytes, 0).map_err(|why| io_error("read", path, why))?;
    let header = bytes.first_chunk().map(Header::parse);
    if !matches!(header, Some(Header::Format { version: 1, .. })) {
        return Err(NvmError::NotAnImage(path.to_owned()));
    }
    let slots = bytes.get(HEADER_LEN..).unwrap_or_default();
    if slots.len() == 2 * SLOT_LEN && slots.iter().all(|byte| *byte == 0) {
        return Err(NvmError::Empty(path.to_owned()));
    }
    let newest = slots.chunks(SLOT_LEN).filter_map(Slot::parse).max_by_key(|slot| slot.sequence);
    let why = "both of its copies fail their check";
    let newest = newest.ok_or_else(|| NvmError::Damaged { path: path.to_owned(), why })?;
    Ok((file, Zeroizing::new(newest.image.to_vec())))
}

struct Slot<'a> {
    sequence: u64,
    image: &'a [u8],
}

impl<'a> Slot<'a> {
    /// `None` if its checksum does not hold.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (stored, rest) = rest.split_first_chunk::<32>()?;
        let image = rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        let sound = default_provider().sha256(&[sequence, len, image]) == *stored;
        sound.then_some(Self { sequence: u64::from_be_bytes(*sequence), image })
    }
}
