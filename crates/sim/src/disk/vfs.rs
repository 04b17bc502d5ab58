//! A [`SimDisk`] as a SQLite VFS: the only unsafe code of the workspace, since SQLite calls it.
//!
//! It must never decide what survives (the model does), and never outlive its promises to
//! SQLite: a registered VFS is leaked on purpose, since connections keep a pointer to it.
//! Locks and shared memory work among the connections of one process, so that WAL mode runs with
//! normal locking. SQLite draws the salts of write-ahead logs from a generator of the process, so
//! some bytes of a file differ between two runs of a seed; which operations come, and what they
//! give back, does not. Reference: <https://sqlite.org/c3ref/io_methods.html>, `os_unix.c`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use self::locks::{FileLocks, LockTable};
use super::model::{FileId, SimDisk};
use super::{DiskError, SECTOR_BYTES};

mod locks;

/// The longest path, in bytes, that SQLite may pass.
const PATH_BYTES_MAX: c_int = 512;

/// What SQLite's own unix VFS reports: it assumes that a device writes this much at once.
/// [`SECTOR_BYTES`] is finer, so that the simulation tears more than SQLite expects.
const REPORTED_SECTOR_BYTES: c_int = 4096;
const _: () = assert!(SECTOR_BYTES <= REPORTED_SECTOR_BYTES as usize);

/// A fixed "now" (2000-01-01 in milliseconds of the Julian day): simulations read no clock.
const JULIAN_DAY_MS: i64 = 211_813_488_000_000;

/// A disk registered with SQLite. Pass [`SimVfs::name`] when opening a connection.
/// Dropping it takes it off SQLite's list; connections that are open go on.
pub struct SimVfs {
    name: String,
    vfs: *mut sqlite3_vfs,
    registered: Registered,
}

/// The disk and its locks, shared by the VFS and its open files.
type Registered = &'static Shared;

struct Shared {
    /// `None` once the [`SimVfs`] is dropped.
    disk: Mutex<Option<SimDisk>>,
    locks: LockTable,
    temporaries: AtomicU64,
}

// SAFETY: the pointer leads to a leaked struct that is not written after registration except by
// SQLite, which guards its list by its own mutex.
unsafe impl Send for SimVfs {}

impl SimVfs {
    /// Registers `disk` with SQLite under a fresh name.
    ///
    /// # Panics
    /// If SQLite refuses (out of memory).
    pub fn register(disk: &SimDisk) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("einhorn-sim-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let registered: Registered = Box::leak(Box::new(Shared {
            disk: Mutex::new(Some(disk.clone())),
            locks: LockTable::default(),
            temporaries: AtomicU64::new(0),
        }));
        let name_c = CString::new(name.as_str()).unwrap_or_default().into_raw();
        let vfs = Box::into_raw(Box::new(sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<SimFile>() as c_int,
            mxPathname: PATH_BYTES_MAX,
            pNext: ptr::null_mut(),
            zName: name_c,
            pAppData: ptr::from_ref(registered).cast_mut().cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(get_last_error),
            xCurrentTimeInt64: Some(current_time_int64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the struct is fully initialised and never freed.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite refuses the simulated disk");
        Self { name, vfs, registered }
    }

    /// The name to open connections with.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for SimVfs {
    fn drop(&mut self) {
        // SAFETY: registered by `register`; the struct stays allocated for open connections.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
        *lock(&self.registered.disk) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQLite allocates `szOsFile` bytes for this; `state` is ours.
#[repr(C)]
struct SimFile {
    base: sqlite3_file,
    state: *mut OpenFile,
}

struct OpenFile {
    disk: SimDisk,
    id: FileId,
    path: String,
    locks: FileLocks,
    /// The folder is synced with the first sync of a journal, as `os_unix.c` does.
    folder_sync_due: bool,
    delete_on_close: bool,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(file_lock),
    xUnlock: Some(file_unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// SAFETY for callers: `vfs` is one that `SimVfs::register` made.
unsafe fn shared(vfs: *mut sqlite3_vfs) -> Registered {
    // SAFETY: pAppData was set from a leaked reference.
    unsafe { &*(*vfs).pAppData.cast::<Shared>() }
}

/// SAFETY for callers: `file` was opened by [`open`] and is not closed; SQLite uses a file from
/// one thread at a time, so the reference is unique.
unsafe fn state<'a>(file: *mut sqlite3_file) -> &'a mut OpenFile {
    // SAFETY: `open` stored a live box.
    unsafe { &mut *(*file.cast::<SimFile>()).state }
}

/// SAFETY for callers: `path` is null or a NUL-terminated text.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a str> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(path) }.to_str().ok()
}

/// SQLite's code for a failure; `io` where the device failed.
fn code(result: Result<(), DiskError>, io: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(DiskError::NoSpace) => ffi::SQLITE_FULL,
        Err(DiskError::Io | DiskError::NotFound) => io,
    }
}

// ---- The VFS ----

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes its own VFS, a text or null, and `szOsFile` bytes for the file.
    let (shared, path) = unsafe {
        (*file).pMethods = ptr::null();
        (shared(vfs), text(path))
    };
    let Some(disk) = lock(&shared.disk).clone() else { return ffi::SQLITE_CANTOPEN };
    let path = path.map_or_else(
        || format!("/.temporary/{}", shared.temporaries.fetch_add(1, Ordering::Relaxed)),
        str::to_owned,
    );
    let is_new = !disk.exists(&path);
    let id = match disk.open(&path, flags & ffi::SQLITE_OPEN_CREATE != 0) {
        Ok(id) => id,
        Err(DiskError::Io) => return ffi::SQLITE_IOERR,
        Err(DiskError::NoSpace) => return ffi::SQLITE_FULL,
        Err(DiskError::NotFound) => return ffi::SQLITE_CANTOPEN,
    };
    let journals =
        ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    let state = Box::new(OpenFile {
        locks: shared.locks.attach(&path, id),
        disk,
        id,
        path,
        folder_sync_due: is_new && flags & journals != 0,
        delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
    });
    // SAFETY: as above; `out_flags` may be null.
    unsafe {
        (*file.cast::<SimFile>()).state = Box::into_raw(state);
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite passes its own VFS and a text.
    let (shared, path) = unsafe { (shared(vfs), text(path)) };
    let (Some(disk), Some(path)) = (lock(&shared.disk).clone(), path) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    match disk.remove(path) {
        Err(DiskError::NotFound) => return ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(_) => return ffi::SQLITE_IOERR_DELETE,
        Ok(()) => {}
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let synced = if sync == 0 { Ok(()) } else { disk.sync_folder(folder) };
    code(synced, ffi::SQLITE_IOERR_DIR_FSYNC)
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes its own VFS, a text and a place for the answer.
    unsafe {
        let (disk, path) = (lock(&shared(vfs).disk).clone(), text(path));
        let exists = disk.zip(path).is_some_and(|(disk, path)| disk.exists(path));
        *out = c_int::from(exists);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut sqlite3_vfs,
    path: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a text, and a buffer of `size` bytes.
    unsafe {
        let bytes = CStr::from_ptr(path).to_bytes_with_nul();
        if bytes.len() > size as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(vfs: *mut sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes its own VFS and a buffer of `count` bytes.
    let (shared, bytes) =
        unsafe { (shared(vfs), slice::from_raw_parts_mut(out.cast::<u8>(), count as usize)) };
    let seed = lock(&shared.disk).as_ref().map_or(0, SimDisk::seed);
    crate::random::Random::new(seed).fill(bytes);
    count
}

/// Time does not pass here: a connection that waits for a lock gives up without sleeping.
unsafe extern "C" fn sleep(_vfs: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    const DAY_MS: f64 = 86_400_000.0;
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = JULIAN_DAY_MS as f64 / DAY_MS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(_vfs: *mut sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = JULIAN_DAY_MS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn get_last_error(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

// ---- Files ----

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the box was made by `open`, and SQLite closes a file once.
    let state = unsafe { Box::from_raw((*file.cast::<SimFile>()).state) };
    if state.delete_on_close {
        // A temporary file that stays behind harms nobody.
        let _ = state.disk.remove(&state.path);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    out: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file and a buffer of `count` bytes.
    let (state, bytes) =
        unsafe { (state(file), slice::from_raw_parts_mut(out.cast::<u8>(), count as usize)) };
    match state.disk.read(state.id, offset as usize, bytes) {
        Ok(done) if done == bytes.len() => ffi::SQLITE_OK,
        Ok(done) => {
            bytes[done..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file and `count` readable bytes.
    let (state, bytes) =
        unsafe { (state(file), slice::from_raw_parts(from.cast::<u8>(), count as usize)) };
    code(state.disk.write(state.id, offset as usize, bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes an open file.
    let state = unsafe { state(file) };
    code(state.disk.set_len(state.id, size as usize), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    let state = unsafe { state(file) };
    if let Err(error) = state.disk.sync(state.id) {
        return code(Err(error), ffi::SQLITE_IOERR_FSYNC);
    }
    if state.folder_sync_due {
        let folder = state.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Err(error) = state.disk.sync_folder(folder) {
            return code(Err(error), ffi::SQLITE_IOERR_DIR_FSYNC);
        }
        state.folder_sync_due = false;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the answer.
    unsafe {
        let state = state(file);
        match state.disk.len(state.id) {
            Ok(len) => *out = len as i64,
            Err(_) => return ffi::SQLITE_IOERR_FSTAT,
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    REPORTED_SECTOR_BYTES
}

/// As `os_unix.c` by default: a torn write never damages bytes outside of it.
unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

// ---- Locks and shared memory ----

unsafe extern "C" fn file_lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    busy_unless(unsafe { state(file) }.locks.lock(level))
}

unsafe extern "C" fn file_unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { state(file) }.locks.unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the answer.
    unsafe { *out = c_int::from(state(file).locks.is_reserved()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    region_bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the pointer.
    unsafe {
        let locks = &mut state(file).locks;
        *out = locks.shm_region(region as usize, region_bytes as usize, extend != 0).cast();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let slots = offset as usize..(offset + count) as usize;
    // SAFETY: SQLite passes an open file.
    let locks = unsafe { &mut state(file).locks };
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        locks.shm_unlock(slots, exclusive);
        return ffi::SQLITE_OK;
    }
    busy_unless(locks.shm_lock(slots, exclusive))
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { state(file) }.locks.shm_unmap();
    ffi::SQLITE_OK
}

const fn busy_unless(granted: bool) -> c_int {
    if granted { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}
