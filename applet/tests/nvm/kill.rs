//! Processes of their own: killed while they commit, or on a disk that is full.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use onetap_applet::nvm::{IMAGE_LEN, ImageFile, ImageOptions, Nvm, NvmError};

use crate::rig::{Folder, Seeded, contents, id, start};

const TASK: &str = "ONETAP_NVM_TASK";
const FILE: &str = "ONETAP_NVM_FILE";
const KILLS: u64 = 50;

/// What a child process does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Create,
    CommitForEver,
    CreateOnFullDisk,
    CommitWithoutPages,
}

impl Task {
    const ALL: [Self; 4] =
        [Self::Create, Self::CommitForEver, Self::CreateOnFullDisk, Self::CommitWithoutPages];

    fn run(self, path: &Path) {
        match self {
            Self::Create => drop(create(path).unwrap()),
            Self::CommitForEver => count(path, u64::MAX),
            Self::CreateOnFullDisk => {
                let why = create(path).unwrap_err();
                assert!(matches!(why, NvmError::Io { what: "create", .. }), "{why}");
            }
            Self::CommitWithoutPages => {
                let mut nvm = open(path);
                nvm.commit(&[(id(1, 0), Some(b"stands"))]).unwrap();
                let why = nvm.commit(&[(id(1, 0), Some(b"lost"))]).unwrap_err();
                assert!(matches!(why, NvmError::Io { what: "write", .. }), "{why}");
                assert_eq!(nvm.read(id(1, 0)), Some(&b"stands"[..]));
            }
        }
    }
}

/// Starts this test program again for one task; no file of it may grow, or be written, beyond `file_limit`.
pub(crate) fn child(task: Task, path: &Path, file_limit: Option<usize>) -> Child {
    let this = env::current_exe().unwrap();
    let limited = "trap '' XFSZ; exec prlimit --fsize=\"$0\" \"$@\"";
    let mut command = match file_limit {
        None => Command::new(&this),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", limited, &limit.to_string()]).arg(&this);
            shell
        }
    };
    command.args(["--exact", "kill::the_task_of_a_child_process"]).env(TASK, format!("{task:?}"));
    start(command.env(FILE, path).stdout(Stdio::null()))
}

/// In a child process its task; else the same loop as the children that are killed, for a while.
#[test]
fn the_task_of_a_child_process() {
    let Ok(name) = env::var(TASK) else {
        let folder = Folder::new();
        drop(create(&folder.path()).unwrap());
        count(&folder.path(), 100);
        assert_eq!(value(&open(&folder.path())), 100);
        return;
    };
    let task = Task::ALL.into_iter().find(|task| format!("{task:?}") == name).unwrap();
    task.run(&PathBuf::from(env::var_os(FILE).unwrap()));
}

fn create(path: &Path) -> Result<Nvm, NvmError> {
    Nvm::format(Box::new(ImageFile::create(path, ImageOptions::default())?))
}

fn open(path: &Path) -> Nvm {
    Nvm::open(Box::new(ImageFile::open(path, ImageOptions::default()).unwrap())).unwrap()
}

/// Where a child notes which value was committed last.
fn notes(path: &Path) -> PathBuf {
    path.with_extension("notes")
}

/// Counts up, in several objects of changing length that always belong together.
fn count(path: &Path, end: u64) {
    let mut nvm = open(path);
    let notes = File::create(notes(path)).unwrap();
    for value in value(&nvm) + 1..=end {
        let parts = parts(value);
        let changes: Vec<_> =
            (0..).zip(&parts).map(|(number, part)| (id(1, number), part.as_deref())).collect();
        nvm.commit(&changes).unwrap();
        notes.write_all_at(&value.to_be_bytes(), 0).unwrap();
    }
}

/// What the objects hold after the commit of `value`.
fn parts(value: u64) -> [Option<Vec<u8>>; 4] {
    let long = |len: u64| value.to_be_bytes().repeat(usize::try_from(len).unwrap());
    [
        Some(long(1)),
        Some(long(60)),
        (!value.is_multiple_of(3)).then(|| long(value % 40)),
        Some(long(value % 100)),
    ]
}

fn value(nvm: &Nvm) -> u64 {
    nvm.read(id(1, 0)).map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

fn noted(path: &Path) -> u64 {
    let bytes = fs::read(notes(path)).unwrap_or_default();
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Waits until the child has noted `value`: it is in the middle of its work then.
fn wait_for(path: &Path, value: u64, child: &mut Child) {
    while noted(path) < value {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        std::thread::yield_now();
    }
}

#[test]
fn a_process_that_is_killed_leaves_the_state_before_or_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.card");
    assert!(child(Task::Create, &path, None).wait().unwrap().success());
    let (mut random, mut last) = (Seeded(1), 0);
    for kill in 0..KILLS {
        let mut child = child(Task::CommitForEver, &path, None);
        wait_for(&path, last + 1 + random.below(300), &mut child);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let _no_start = Folder::new();
        let nvm = open(&path);
        let (value, noted) = (value(&nvm), noted(&path));
        assert!(value == noted || value == noted + 1, "kill {kill}: {noted} noted, {value} there");
        let whole: crate::rig::Model =
            (0..).zip(parts(value)).filter_map(|(number, part)| Some((id(1, number), part?))).collect();
        assert_eq!(contents(&nvm), whole, "kill {kill}");
        last = value;
    }
    assert!(last > KILLS);
    assert_eq!(fs::metadata(&path).unwrap().len(), IMAGE_LEN as u64);
}
