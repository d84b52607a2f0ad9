//! Images of format 1, as the first release stored them: they are told apart, read, and replaced in one
//! step. The samples in `fixtures/images/v1` are never made again.

use std::fs;
use std::path::{Path, PathBuf};

use onetap_applet::nvm::{Image, ImageFile, ImageOptions, Nvm, NvmError, read_format_1, replace_format_1};

use crate::rig::{Folder, id};

const SAMPLES: [&str; 2] = ["idle.card", "showing.card"];
const SLOT_LEN: usize = 44 + 16 * 1024;

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images/v1");
    fs::read(folder.join(name)).unwrap()
}

fn stored(bytes: &[u8]) -> (Folder, PathBuf) {
    let folder = Folder::new();
    let path = folder.path();
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn open(path: &Path) -> Result<Nvm, NvmError> {
    Nvm::open(Box::new(ImageFile::open(path, ImageOptions::default())?))
}

/// Keeps what the old image holds as one object.
fn keep(content: &[u8], image: Box<dyn Image>) -> Result<Nvm, NvmError> {
    let mut nvm = Nvm::format(image)?;
    nvm.commit(&[(id(0, 1), Some(content))])?;
    Ok(nvm)
}

fn replace(path: &Path) -> Result<Nvm, NvmError> {
    replace_format_1(path, ImageOptions { durable: true }, keep)
}

#[test]
fn stored_images_are_told_apart_and_read() {
    for name in SAMPLES {
        let (_folder, path) = stored(&sample(name));
        assert!(matches!(open(&path), Err(NvmError::Format1(_))));
        let content = read_format_1(&path).unwrap();
        assert!(content.len() > 1000 && sample(name).windows(content.len()).any(|at| at == &content[..]));
    }
}

#[test]
fn a_slot_that_is_damaged_gives_the_other_and_two_are_told() {
    let mut bytes = sample(SAMPLES[0]);
    let content = read_format_1(&stored(&bytes).1).unwrap();
    bytes[4096 + 100] ^= 1;
    assert_eq!(read_format_1(&stored(&bytes).1).unwrap(), content);
    bytes[4096 + SLOT_LEN + 100] ^= 1;
    assert!(matches!(read_format_1(&stored(&bytes).1), Err(NvmError::Damaged { .. })));
    assert!(matches!(read_format_1(&stored(&bytes[..5000]).1), Err(NvmError::Damaged { .. })));
    bytes[4096..].fill(0);
    assert!(matches!(read_format_1(&stored(&bytes).1), Err(NvmError::Empty(_))));
    assert!(matches!(read_format_1(&stored(b"something else").1), Err(NvmError::NotAnImage(_))));
}

#[test]
fn an_image_of_today_takes_the_place_of_the_old_one_and_is_locked_all_the_time() {
    for name in SAMPLES {
        let (folder, path) = stored(&sample(name));
        let content = read_format_1(&path).unwrap();
        let mut nvm = replace_format_1(&path, ImageOptions::default(), |content, image| {
            assert!(matches!(open(&path), Err(NvmError::InUse(_))));
            assert!(matches!(read_format_1(&path), Err(NvmError::InUse(_))));
            keep(content, image)
        })
        .unwrap();
        assert!(matches!(open(&path), Err(NvmError::InUse(_))));
        nvm.commit(&[(id(0, 2), Some(b"goes on"))]).unwrap();
        drop(nvm);
        let nvm = open(&path).unwrap();
        assert_eq!(nvm.read(id(0, 1)), Some(&content[..]));
        assert_eq!(nvm.read(id(0, 2)), Some(&b"goes on"[..]));
        drop(nvm);
        assert!(matches!(replace(&path), Err(NvmError::NotAnImage(_))));
        assert_eq!(fs::read_dir(folder.path().parent().unwrap()).unwrap().count(), 1);
    }
}

/// The old image behind a link would be a second card.
#[test]
fn an_image_behind_a_link_is_replaced_itself() {
    let (_folder, path) = stored(&sample(SAMPLES[0]));
    let link = path.with_file_name("link.card");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    drop(replace(&link).unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(open(&path).is_ok());
}

#[test]
fn a_conversion_that_fails_leaves_the_old_image_and_files_of_others_are_left_alone() {
    let bytes = sample(SAMPLES[1]);
    let (folder, path) = stored(&bytes);
    let failed: Result<Nvm, _> = replace_format_1(&path, ImageOptions::default(), |content, image| {
        drop(keep(content, image)?);
        Err(NvmError::Full)
    });
    assert!(matches!(failed, Err(NvmError::Full)));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path().parent().unwrap()).unwrap().count(), 1);
    let others = path.with_file_name(".a.card.converting");
    fs::write(&others, "precious").unwrap();
    drop(replace(&path).unwrap());
    assert_eq!(fs::read(&others).unwrap(), b"precious");
    assert_eq!(fs::read_dir(folder.path().parent().unwrap()).unwrap().count(), 2);
    assert!(open(&path).is_ok());
}
