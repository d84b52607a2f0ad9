//! Images in files: one owner, no overwriting, and every refusal says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use onetap_applet::nvm::{IMAGE_LEN, Image as _, ImageFile, ImageOptions, Nvm, NvmError, PAGE_LEN};

use crate::kill::{Task, child};
use crate::rig::{BEFORE_PAGES, Folder, id};

fn create(path: &Path) -> Nvm {
    Nvm::format(Box::new(ImageFile::create(path, ImageOptions::default()).unwrap())).unwrap()
}

fn open(path: &Path) -> Result<Nvm, NvmError> {
    Nvm::open(Box::new(ImageFile::open(path, ImageOptions::default())?))
}

#[test]
fn what_was_committed_last_is_read() {
    for durable in [false, true] {
        let folder = Folder::new();
        let options = ImageOptions { durable };
        let mut nvm = Nvm::format(Box::new(ImageFile::create(&folder.path(), options).unwrap())).unwrap();
        for n in 1..=5u8 {
            nvm.commit(&[(id(1, 0), Some(&vec![n; 100 * usize::from(n)]))]).unwrap();
        }
        drop(nvm);
        assert_eq!(open(&folder.path()).unwrap().read(id(1, 0)), Some(&[5; 500][..]));
    }
}

#[test]
fn a_file_has_its_full_size_from_the_start_and_is_for_its_owner_only() {
    let folder = Folder::new();
    let image = ImageFile::create(&folder.path(), ImageOptions::default()).unwrap();
    let file = fs::metadata(folder.path()).unwrap();
    assert_eq!((file.len(), image.size()), (IMAGE_LEN as u64, IMAGE_LEN));
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(std::os::unix::fs::MetadataExt::blocks(&file) * 512 >= file.len(), "the disk space is there");
}

#[test]
fn a_file_is_never_overwritten() {
    let folder = Folder::new();
    drop(create(&folder.path()));
    let again = ImageFile::create(&folder.path(), ImageOptions::default());
    assert!(matches!(again, Err(NvmError::Exists(_))));
    assert!(open(&folder.path()).is_ok());
}

#[test]
fn one_card_is_open_in_one_place() {
    let folder = Folder::new();
    let nvm = create(&folder.path());
    let why = open(&folder.path()).unwrap_err();
    assert!(matches!(why, NvmError::InUse(_)) && why.to_string().contains("stop the other one"));
    drop(nvm);
    open(&folder.path()).unwrap();
}

#[test]
fn other_files_and_damaged_ones_are_told_with_their_name() {
    let folder = Folder::new();
    let path = folder.path();
    let told = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let why = open(&path).unwrap_err().to_string();
        assert!(why.contains(what) && why.contains("a.card"), "{why}");
    };
    told(b"something else", "is not a card image");
    told(b"", "is not a card image");
    told(&[0; 64], "is not a card image");
    told(&[7; IMAGE_LEN], "is not a card image");
    told(&[0; IMAGE_LEN], "holds no card yet");
    fs::remove_file(&path).unwrap();
    drop(create(&path));
    let bytes = fs::read(&path).unwrap();
    for len in [BEFORE_PAGES - 1, BEFORE_PAGES + PAGE_LEN, IMAGE_LEN - 1] {
        told(&bytes[..len], "is damaged");
    }
    let newer = [&bytes[..8], &9u32.to_be_bytes(), &bytes[12..]].concat();
    told(&newer, "image format 9");
    fs::write(&path, &bytes).unwrap();
    open(&path).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = Folder::new();
    let nowhere = folder.path().join("gone");
    let why = ImageFile::create(&nowhere, ImageOptions::default()).unwrap_err();
    assert!(matches!(why, NvmError::Io { .. }) && why.to_string().contains("cannot create"), "{why}");
    let why = ImageFile::open(&nowhere, ImageOptions::default()).unwrap_err();
    assert!(matches!(why, NvmError::Io { .. }) && why.to_string().contains("cannot open"), "{why}");
}

/// A file that nobody may write, root included.
#[test]
fn a_read_only_file_is_told() {
    let why = ImageFile::open(Path::new("/proc/sys/kernel/ostype"), ImageOptions::default()).unwrap_err();
    assert!(matches!(why, NvmError::Io { what: "open", .. }), "{why}");
    assert!(why.to_string().contains("check the disk and the permissions"), "{why}");
}

/// The disk is full while the file is made: an error, and no half of a card is left behind.
#[test]
fn a_full_disk_is_told_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.card");
    assert!(child(Task::CreateOnFullDisk, &path, Some(BEFORE_PAGES)).wait().unwrap().success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The disk takes the journal and no pages: the commit stands, and the next one says what is wrong.
#[test]
fn pages_that_cannot_be_written_do_not_lose_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.card");
    assert!(child(Task::Create, &path, None).wait().unwrap().success());
    assert!(child(Task::CommitWithoutPages, &path, Some(BEFORE_PAGES)).wait().unwrap().success());
    let _folder = Folder::new();
    assert_eq!(open(&path).unwrap().read(id(1, 0)), Some(&b"stands"[..]));
}
