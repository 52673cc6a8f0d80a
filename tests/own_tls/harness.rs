//! What the tests stand on: a process of their own, green threads in groups, modules to load.

pub(crate) use crate::scheduler::yield_now;
use crate::scheduler::{run, spawn};
use std::ffi::{CString, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Runs the body of a test as the first green thread of a process of its own.
macro_rules! alone {
    ($body:expr) => {{
        fn here() {}
        $crate::harness::alone(std::any::type_name_of_val(&here), $body)
    }};
}

const CHILD: &str = "GTHREAD_TEST_ALONE";

/// Within which a test that has to pass ends: many times what it takes, for machines that others
/// use too.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// The function behind [`alone!`]; `place` is the path of a function inside the test.
pub(crate) fn alone(place: &str, body: fn()) {
    let path = place.strip_suffix("::here").expect("a path");
    let name = path.split_once("::").expect("a path in the crate").1;
    if std::env::var(CHILD).as_deref() == Ok(name) {
        run(4, body);
        assert_eq!(PANICS.load(SeqCst), 0, "green threads that panicked");
        return;
    }
    if let Outcome::Failed(outcome) = child(name, None, LIMIT) {
        panic!("{name}: {outcome}");
    }
}

/// How a test in a process of its own ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// Something it needs is not there.
    Skipped,
    /// How, on the first line, and what it printed.
    Failed(String),
}

/// Runs one test in a process of its own, with an environment variable set.
pub(crate) fn child(name: &str, setting: Option<(&str, &str)>, limit: Duration) -> Outcome {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.args(["--exact", name, "--nocapture", "--include-ignored"]).env(CHILD, name);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A server of names that is away, or drops what is asked by many at once, is not waited for long.
    command.env("RES_OPTIONS", "timeout:1 attempts:1");
    command.envs(setting).process_group(0);
    let mut process = command.spawn().expect("a process");
    let mut streams: Vec<Box<dyn Read + Send>> = Vec::new();
    streams.extend(process.stdout.take().map(|s| Box::new(s) as _));
    streams.extend(process.stderr.take().map(|s| Box::new(s) as _));
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        })
        .collect();
    let end = Instant::now() + limit;
    let status = loop {
        match process.try_wait().expect("a child") {
            Some(status) => break status.to_string(),
            None if Instant::now() > end => {
                // What it started holds our pipes open, too.
                unsafe { libc::kill(-(process.id() as i32), libc::SIGKILL) };
                process.wait().expect("a child");
                break "a hang".into();
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let output: String = readers.into_iter().map(|r| r.join().expect("text")).collect();
    if status != "exit status: 0" || !output.contains("1 passed") {
        return Outcome::Failed(format!("{status}\n{output}"));
    }
    output.lines().filter(|line| line.starts_with("note: ")).for_each(|line| eprintln!("{line}"));
    if output.contains("note: skipped") { Outcome::Skipped } else { Outcome::Passed }
}

/// Green threads that ended by a panic: the test fails.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Yields `times` times.
pub(crate) fn yields(times: usize) {
    for _ in 0..times {
        yield_now();
    }
}

/// The running thread pointer, by what libc says of the running thread.
pub(crate) fn thread_pointer() -> usize {
    let thread = unsafe { libc::pthread_self() } as usize;
    if cfg!(target_arch = "x86_64") {
        return thread;
    }
    let bytes = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_thread_db_sizeof_pthread".as_ptr()) };
    thread + unsafe { bytes.cast::<u32>().read() } as usize
}

/// Green threads that are waited for together.
#[derive(Clone, Default)]
pub(crate) struct Group(Arc<AtomicUsize>);

impl Group {
    /// Starts a green thread of the group.
    pub(crate) fn spawn(&self, body: impl FnOnce() + Send + 'static) {
        struct Leave(Group);
        impl Drop for Leave {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, SeqCst);
            }
        }
        self.0.fetch_add(1, SeqCst);
        let leave = Leave(self.clone());
        spawn(move || {
            let _leave = leave;
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
                PANICS.fetch_add(1, SeqCst);
            }
        });
    }

    /// Waits until all have ended.
    pub(crate) fn wait(&self) {
        while self.0.load(SeqCst) != 0 {
            yield_now();
        }
    }
}

/// Runs `count` green threads and waits for them; each gets its number.
pub(crate) fn each(count: usize, body: impl Fn(usize) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let group = Group::default();
    for number in 0..count {
        let body = body.clone();
        group.spawn(move || body(number));
    }
    group.wait();
}

/// A compiled module, in a directory of its own that goes when this is dropped: what has been
/// loaded stays.
pub(crate) struct SharedObject(PathBuf);

impl std::ops::Deref for SharedObject {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for SharedObject {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl Drop for SharedObject {
    fn drop(&mut self) {
        let directory = self.0.parent().expect("made with one");
        std::fs::remove_dir_all(directory).expect("nobody else's");
    }
}

/// Makes a directory that nobody has had before.
fn new_directory() -> PathBuf {
    let name = std::env::temp_dir().join("gthread-XXXXXX").into_os_string();
    let name = CString::new(name.into_vec()).expect("a path").into_raw();
    // SAFETY: a string of our own, of which the last six bytes are written to.
    let made = unsafe { libc::mkdtemp(name) };
    assert!(!made.is_null(), "{}", std::io::Error::last_os_error());
    // SAFETY: from `into_raw` above, and as long as it was.
    let name = unsafe { CString::from_raw(name) };
    OsString::from_vec(name.into_bytes()).into()
}

/// Compiles C to a shared object; `None` without a compiler.
pub(crate) fn shared_object(name: &str, source: &str, flags: &[&str]) -> Option<SharedObject> {
    if cfg!(target_feature = "crt-static") {
        eprintln!("note: skipped, a static program loads no modules");
        return None;
    }
    let object = SharedObject(new_directory().join(format!("lib{name}.so")));
    let text = object.with_file_name(format!("{name}.c"));
    std::fs::write(&text, source).expect("a file");
    let compiled = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-shared", "-fPIC", "-O1"])
        .args(flags)
        .arg("-o")
        .args([&*object, &text])
        .status();
    match compiled {
        Ok(status) if status.success() => Some(object),
        other => {
            eprintln!("note: skipped, no C compiler for lib{name}.so: {other:?}");
            None
        }
    }
}
