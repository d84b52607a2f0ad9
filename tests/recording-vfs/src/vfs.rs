//! The interface to SQLite (<https://sqlite.org/vfs.html>). A file of ours is a [`File`] with a file of the
//! real file system right behind it, in memory that SQLite gives.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::ffi;

use crate::log::{OpenFile, delete};

/// Our name among SQLite's file systems.
const NAME: &CStr = c"onetap-recording";
/// Methods of files up to shared memory; those of version 3 map the file into memory, unseen by us.
const WITH_SHARED_MEMORY: c_int = 2;
/// Files whose first sync also syncs the folder, if they may be created.
const SYNCS_FOLDER: c_int =
    ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// SQLite has no file system to pass things on to, or refused ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallError;

impl std::fmt::Display for InstallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SQLite did not take the recording file system; is its own one for Unix there?")
    }
}

impl std::error::Error for InstallError {}

/// Makes this SQLite's default file system for connections that are opened from now on in this process. A
/// second call does nothing.
///
/// # Errors
/// [`InstallError`].
pub fn install() -> Result<(), InstallError> {
    static DONE: OnceLock<Result<(), InstallError>> = OnceLock::new();
    *DONE.get_or_init(register)
}

fn register() -> Result<(), InstallError> {
    // SAFETY: any thread may call it at any time; null asks for the default.
    let real = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    // SAFETY: not null, then it is a registered file system, which stays as it is as long as the process.
    let Some(real_vfs) = (unsafe { real.as_ref() }) else {
        return Err(InstallError);
    };
    let header = c_int::try_from(size_of::<File>()).map_err(|_| InstallError)?;
    // What is not replaced is the real one's own function. Of the structure that these are given they look at
    // `mxPathname` only, which is the same.
    let ours = Box::leak(Box::new(ffi::sqlite3_vfs {
        szOsFile: header + real_vfs.szOsFile,
        pNext: std::ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: real.cast(),
        xOpen: Some(open),
        xDelete: Some(remove),
        ..*real_vfs
    }));
    // SAFETY: `ours` is leaked, so it outlives SQLite, and nothing else holds it.
    let code = unsafe { ffi::sqlite3_vfs_register(ours, 1) };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(InstallError) }
}

/// SQLite knows the first field only. Its size is a multiple of eight, so that the real file may follow.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// None if nothing is to be written down of it.
    open: Option<OpenFile>,
    /// The next sync of this handle syncs the folder too.
    syncs_folder: bool,
}

/// The real file system.
///
/// # Safety
/// `vfs` is what [`register`] made.
unsafe fn real_vfs(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: the caller's promise.
    unsafe { (*vfs).pAppData.cast() }
}

/// The real file behind ours.
///
/// # Safety
/// `file` has room for both, as `szOsFile` says.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the caller's promise.
    unsafe { file.byte_add(size_of::<File>()) }
}

/// Our part of a file.
///
/// # Safety
/// [`open`] has filled `file`, [`xClose`] has not seen it yet, and no other thread uses it, which SQLite keeps.
unsafe fn ours<'a>(file: *mut ffi::sqlite3_file) -> &'a mut File {
    // SAFETY: the caller's promise.
    unsafe { &mut *file.cast::<File>() }
}

/// # Safety
/// `name` is null or a path that ends in a NUL and lives as long as `'a`.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(bytes.to_bytes())))
}

/// # Safety
/// As SQLite calls `xOpen` of what [`register`] made.
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives our own structure, with room for both files, and the real function gets what it
    // would get from SQLite.
    let code = unsafe {
        let vfs = real_vfs(vfs);
        (*vfs).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(vfs, name, real(file), flags, out_flags))
    };
    let opened = code == ffi::SQLITE_OK;
    // SAFETY: SQLite gives a path or null, which it keeps while the file is open.
    let path = unsafe { path(name) };
    let filled = File {
        // Without methods SQLite does not close what was not opened.
        base: ffi::sqlite3_file { pMethods: if opened { &raw const METHODS } else { std::ptr::null() } },
        open: path.filter(|_| opened).and_then(OpenFile::of),
        syncs_folder: flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & SYNCS_FOLDER != 0,
    };
    // SAFETY: SQLite gives room for a `File`, aligned for any type of eight bytes, and nothing is there yet.
    unsafe { file.cast::<File>().write(filled) };
    code
}

/// # Safety
/// As SQLite calls `xDelete` of what [`register`] made.
unsafe extern "C" fn remove(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let mut code = ffi::SQLITE_IOERR_DELETE;
    let mut work = || {
        // SAFETY: SQLite gives our own structure, and the real function gets what it would get from SQLite.
        unsafe {
            let vfs = real_vfs(vfs);
            code = (*vfs).xDelete.map_or(code, |delete| delete(vfs, name, sync_folder));
        }
        code == ffi::SQLITE_OK
    };
    // SAFETY: SQLite gives a path.
    match unsafe { path(name) } {
        Some(path) => delete(path, sync_folder & 1 != 0, work),
        None => drop(work()),
    }
    code
}

/// Passes a method on to the real file.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*) $(-> $result:ty, else $missing:expr)?;)*) => { $(
        /// # Safety
        /// As SQLite calls the method of a file that [`open`] filled.
        #[allow(non_snake_case, reason = "SQLite's name")]
        pub(super) unsafe extern "C" fn $method(file: *mut ffi::sqlite3_file, $($argument: $type),*) $(-> $result)? {
            // SAFETY: the real file was opened with ours, and gets what SQLite gives.
            unsafe {
                let real = real(file);
                match (*(*real).pMethods).$method {
                    Some(method) => method(real, $($argument),*),
                    None => { $($missing)? }
                }
            }
        }
    )* };
}

pass_on! {
    xRead(to: *mut c_void, length: c_int, offset: i64) -> c_int, else ffi::SQLITE_IOERR;
    xFileSize(size: *mut i64) -> c_int, else ffi::SQLITE_IOERR;
    xLock(level: c_int) -> c_int, else ffi::SQLITE_IOERR;
    xUnlock(level: c_int) -> c_int, else ffi::SQLITE_IOERR;
    xCheckReservedLock(reserved: *mut c_int) -> c_int, else ffi::SQLITE_IOERR;
    xFileControl(op: c_int, argument: *mut c_void) -> c_int, else ffi::SQLITE_NOTFOUND;
    xSectorSize() -> c_int, else 0;
    xDeviceCharacteristics() -> c_int, else 0;
    xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int, else ffi::SQLITE_IOERR;
    xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int, else ffi::SQLITE_IOERR;
    xShmBarrier();
    xShmUnmap(delete: c_int) -> c_int, else ffi::SQLITE_IOERR;
}

/// The real methods of those that are watched.
mod passed {
    use super::{c_int, c_void, ffi, real};

    pass_on! {
        xClose() -> c_int, else ffi::SQLITE_IOERR;
        xWrite(from: *const c_void, length: c_int, offset: i64) -> c_int, else ffi::SQLITE_IOERR;
        xTruncate(size: i64) -> c_int, else ffi::SQLITE_IOERR;
        xSync(flags: c_int) -> c_int, else ffi::SQLITE_IOERR;
    }
}

/// # Safety
/// As SQLite calls `xClose` of a file that [`open`] filled.
#[allow(non_snake_case, reason = "SQLite's name")]
unsafe extern "C" fn xClose(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes each file once, and does not use it any more.
    unsafe {
        let code = passed::xClose(file);
        ours(file).open = None;
        code
    }
}

/// # Safety
/// As SQLite calls `xWrite` of a file that [`open`] filled.
#[allow(non_snake_case, reason = "SQLite's name")]
unsafe extern "C" fn xWrite(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let mut code = ffi::SQLITE_IOERR_WRITE;
    let mut work = || {
        // SAFETY: as SQLite calls us.
        code = unsafe { passed::xWrite(file, from, length, offset) };
        code == ffi::SQLITE_OK
    };
    // SAFETY: as SQLite calls us.
    match (unsafe { &ours(file).open }, usize::try_from(length), u64::try_from(offset)) {
        (Some(open), Ok(length), Ok(offset)) => {
            // SAFETY: SQLite gives so many bytes at `from`, which do not change during the call.
            let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
            open.write(offset, bytes, work);
        }
        _ => drop(work()),
    }
    code
}

/// # Safety
/// As SQLite calls `xTruncate` of a file that [`open`] filled.
#[allow(non_snake_case, reason = "SQLite's name")]
unsafe extern "C" fn xTruncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let mut code = ffi::SQLITE_IOERR_TRUNCATE;
    let mut work = || {
        // SAFETY: as SQLite calls us.
        code = unsafe { passed::xTruncate(file, size) };
        code == ffi::SQLITE_OK
    };
    // SAFETY: as SQLite calls us.
    match (unsafe { &ours(file).open }, u64::try_from(size)) {
        (Some(open), Ok(size)) => open.truncate(size, work),
        _ => drop(work()),
    }
    code
}

/// # Safety
/// As SQLite calls `xSync` of a file that [`open`] filled.
#[allow(non_snake_case, reason = "SQLite's name")]
unsafe extern "C" fn xSync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let mut code = ffi::SQLITE_IOERR_FSYNC;
    let mut work = || {
        // SAFETY: as SQLite calls us.
        code = unsafe { passed::xSync(file, flags) };
        code == ffi::SQLITE_OK
    };
    // SAFETY: as SQLite calls us.
    let ours = unsafe { ours(file) };
    match &ours.open {
        Some(open) => open.sync(ours.syncs_folder, work),
        None => drop(work()),
    }
    if code == ffi::SQLITE_OK {
        ours.syncs_folder = false;
    }
    code
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: WITH_SHARED_MEMORY,
    xClose: Some(xClose),
    xRead: Some(xRead),
    xWrite: Some(xWrite),
    xTruncate: Some(xTruncate),
    xSync: Some(xSync),
    xFileSize: Some(xFileSize),
    xLock: Some(xLock),
    xUnlock: Some(xUnlock),
    xCheckReservedLock: Some(xCheckReservedLock),
    xFileControl: Some(xFileControl),
    xSectorSize: Some(xSectorSize),
    xDeviceCharacteristics: Some(xDeviceCharacteristics),
    xShmMap: Some(xShmMap),
    xShmLock: Some(xShmLock),
    xShmBarrier: Some(xShmBarrier),
    xShmUnmap: Some(xShmUnmap),
    xFetch: None,
    xUnfetch: None,
};
