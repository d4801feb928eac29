//! Stand-ins for a guest or a compiler that got out of Wasm (a10): each tries one thing, in a process of its own that
//! locked itself down with the function that sandbox and compile children use. Every attempt must fail.
//!
//! It has a `main` of its own because the stand-in is this very executable, started again: it needs a process with one
//! thread, an empty environment and three descriptors, which the standard test harness does not leave. The layers are
//! tried apart, too: what Landlock, the namespaces and the missing capabilities refuse is tried without the filter.
//!
//! A compiler has its limit of memory from here as well: one that takes more dies, and says of what (a08).

#![expect(
    clippy::disallowed_methods,
    reason = "what is forbidden elsewhere is what a stand-in tries"
)]

use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use greenroom_lockdown::{Inmate, enclose};
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};

/// Exit code of an attempt that came to something.
const SUCCEEDED: u8 = 0;
/// Exit code of an attempt that was refused.
const REFUSED: u8 = 40;
/// Exit code of a stand-in that could not be locked down.
const NOT_LOCKED: u8 = 41;
/// Exit code of a stand-in that was to try the other layers, on a kernel that lacks one of them.
const NO_LAYERS: u8 = 42;
/// The signal of a call that kills.
const SIGSYS: i32 = 31;
/// The signal of a process that gives itself up.
const SIGABRT: i32 = 6;

/// What a stand-in is told before it is locked down; nothing of it helps.
struct Told {
    parent: Option<Pid>,
    port: u16,
}

type Attempt = fn(&Told) -> std::io::Result<()>;

/// What must happen to an attempt behind all layers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// An error, and the process goes on.
    Refused,
    /// The process dies at once.
    Killed,
}

const ATTEMPTS: &[(&str, Fate, Attempt)] = &[
    ("open_a_file", Fate::Refused, |_| {
        std::fs::read("/etc/passwd").map(drop)
    }),
    ("create_a_file", Fate::Refused, |_| {
        std::fs::write("/tmp/greenroom-stand-in", "here")
    }),
    ("list_a_directory", Fate::Refused, |_| {
        std::fs::read_dir("/").map(drop)
    }),
    ("look_at_a_file", Fate::Refused, |_| {
        std::fs::metadata("/etc/passwd").map(drop)
    }),
    ("read_the_environment_of_the_process", Fate::Refused, |_| {
        std::fs::read("/proc/self/environ").map(drop)
    }),
    ("read_the_memory_of_the_parent", Fate::Refused, |told| {
        let pid = told.parent.map_or(0, |pid| pid.as_raw_nonzero().get());
        std::fs::File::open(format!("/proc/{pid}/mem")).map(drop)
    }),
    (
        "find_a_variable",
        Fate::Refused,
        |_| match std::env::vars_os().next() {
            Some(_) => Ok(()),
            None => Err(std::io::Error::other("the environment is empty")),
        },
    ),
    ("connect_to_an_address", Fate::Killed, |told| {
        std::net::TcpStream::connect(("127.0.0.1", told.port)).map(drop)
    }),
    ("listen", Fate::Killed, |_| {
        std::net::TcpListener::bind("127.0.0.1:0").map(drop)
    }),
    ("send_a_datagram", Fate::Killed, |_| {
        std::net::UdpSocket::bind("0.0.0.0:0").map(drop)
    }),
    ("connect_to_a_local_socket", Fate::Killed, |_| {
        let address = SocketAddr::from_abstract_name("greenroom-stand-in")?;
        UnixStream::connect_addr(&address).map(drop)
    }),
    ("exec", Fate::Killed, |_| {
        Err(Command::new("/bin/true").exec())
    }),
    ("fork_and_exec", Fate::Killed, |_| {
        Command::new("/bin/true").status().map(drop)
    }),
    ("start_a_thread", Fate::Killed, |_| {
        std::thread::Builder::new().spawn(|| {}).map(drop)
    }),
    ("signal_the_parent", Fate::Killed, |told| {
        signal(told.parent, Signal::TERM)
    }),
    ("stop_the_parent", Fate::Killed, |told| {
        signal(told.parent, Signal::STOP)
    }),
    ("signal_everybody", Fate::Killed, |_| {
        Ok(rustix::process::kill_current_process_group(Signal::CONT)?)
    }),
    ("change_its_user", Fate::Killed, |_| {
        Ok(rustix::thread::set_thread_uid(
            rustix::process::Uid::from_raw(0),
        )?)
    }),
    ("raise_a_limit", Fate::Refused, |_| {
        let limit = rustix::process::Rlimit {
            current: None,
            maximum: None,
        };
        Ok(rustix::process::setrlimit(
            rustix::process::Resource::Core,
            limit,
        )?)
    }),
    ("leave_its_directory", Fate::Refused, |_| {
        std::env::set_current_dir("/tmp")
    }),
    (
        "write_to_a_descriptor_left_open_by_mistake",
        Fate::Refused,
        |_| {
            for number in 3..1024 {
                #[expect(unsafe_code, reason = "a stand-in tries numbers that nobody gave it")]
                // SAFETY: the descriptor is not open, which is what is shown, or is used for one write only.
                let guessed = unsafe { BorrowedFd::borrow_raw(number) };
                if rustix::io::write(guessed, b"out").is_ok() {
                    return Ok(());
                }
            }
            Err(std::io::Error::other("none is open"))
        },
    ),
];

/// What only a compiler may not: its memory is bounded by the kernel, that of a process that runs guests by its pool.
const COMPILER_ATTEMPTS: &[(&str, Fate, Attempt)] =
    &[("have_more_than_2_gib", Fate::Refused, |_| {
        let mut held = Vec::<u8>::new();
        held.try_reserve_exact(OVER_2_GIB)
            .map_err(std::io::Error::other)
    })];

/// More than the memory of a compiler, in bytes.
const OVER_2_GIB: usize = (2 << 30) + (1 << 20);

/// What a compiler does that is fed a bomb: it never refuses itself anything.
const TAKE_ALL_MEMORY: &str = "take_all_memory";

fn take_all_memory() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![0_u8; PIECE_BYTES]));
    }
}

/// What it takes at once. Pages that nobody touches cost address space and no memory.
const PIECE_BYTES: usize = 64 << 20;

/// Attempts that the layers beside the filter refuse by themselves.
const WITHOUT_THE_FILTER: &[&str] = &[
    "open_a_file",
    "create_a_file",
    "list_a_directory",
    "read_the_environment_of_the_process",
    "read_the_memory_of_the_parent",
    "find_a_variable",
    "connect_to_an_address",
    "connect_to_a_local_socket",
    "exec",
    "fork_and_exec",
    "write_to_a_descriptor_left_open_by_mistake",
];

fn signal(parent: Option<Pid>, signal: Signal) -> std::io::Result<()> {
    let parent = parent.ok_or_else(|| std::io::Error::other("there is no parent"))?;
    Ok(rustix::process::kill_process(parent, signal)?)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--stand-in") => stand_in(&arguments),
        _ => judge(&arguments),
    }
}

/// In the child: locks itself down and tries.
fn stand_in(arguments: &[String]) -> ExitCode {
    let (inmate, sealed, attempt) = (&arguments[2], &arguments[3], &arguments[4]);
    let inmate = match inmate.as_str() {
        "compiler" => Inmate::Compiler { cpu_seconds: 60 },
        _ => Inmate::Guests,
    };
    let told = Told {
        parent: rustix::process::getppid(),
        port: arguments[5].parse().unwrap_or(0),
    };
    let Ok(enclosed) = enclose(inmate) else {
        return ExitCode::from(NOT_LOCKED);
    };
    let layers = enclosed.layers();
    if sealed == "sealed" {
        if enclosed.seal().is_err() {
            return ExitCode::from(NOT_LOCKED);
        }
    } else if !(layers.landlock && layers.namespaces) {
        return ExitCode::from(NO_LAYERS);
    }
    if attempt == TAKE_ALL_MEMORY {
        take_all_memory();
    }
    let Some(attempt) = find(attempt) else {
        return ExitCode::from(NOT_LOCKED);
    };
    match attempt(&told) {
        Ok(()) => ExitCode::from(SUCCEEDED),
        Err(_) => ExitCode::from(REFUSED),
    }
}

fn find(name: &str) -> Option<Attempt> {
    let mut all = ATTEMPTS.iter().chain(COMPILER_ATTEMPTS);
    all.find(|(known, _, _)| *known == name)
        .map(|(_, _, attempt)| *attempt)
}

/// In the parent: runs every attempt and says how each ended.
fn judge(arguments: &[String]) -> ExitCode {
    let filter = arguments[1..]
        .iter()
        .find(|argument| !argument.starts_with('-'));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port to be tried");
    let port = listener.local_addr().expect("its address").port();
    // Without close-on-exec, as a mistake would leave it.
    let (mut leaked, other_end) = std::io::pipe().expect("a pipe");
    rustix::io::fcntl_setfd(other_end.as_fd(), FdFlags::empty()).expect("leave it open");

    let mut failures = 0;
    let mut report = |name: String, verdict: Result<(), String>| {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        match verdict {
            Ok(()) => println!("test {name} ... ok"),
            Err(reason) => {
                println!("test {name} ... FAILED\n  {reason}");
                failures += 1;
            }
        }
    };
    for inmate in ["guests", "compiler"] {
        for (attempt, fate, _) in ATTEMPTS {
            let ended = run(inmate, "sealed", attempt, port);
            report(
                format!("a10_{inmate}_cannot_{attempt}"),
                expect(ended, *fate),
            );
        }
    }
    for (attempt, fate, _) in COMPILER_ATTEMPTS {
        let ended = run("compiler", "sealed", attempt, port);
        report(
            format!("a10_compiler_cannot_{attempt}"),
            expect(ended, *fate),
        );
    }
    for attempt in WITHOUT_THE_FILTER {
        let ended = run("guests", "enclosed", attempt, port);
        let name = format!("a10_without_the_filter_cannot_{attempt}");
        if ended.code() == Some(i32::from(NO_LAYERS)) {
            println!("test {name} ... ignored: the kernel lacks Landlock or namespaces");
        } else {
            report(name, expect(ended, Fate::Refused));
        }
    }
    report(
        "a08_a_compiler_that_takes_all_memory_says_so".to_owned(),
        out_of_memory(port),
    );
    report("a10_the_stand_in_is_not_idle".to_owned(), unlocked(port));
    report("a10_nobody_was_reached".to_owned(), {
        drop(other_end);
        let mut said = String::new();
        match leaked.read_to_string(&mut said) {
            Ok(_) if said.is_empty() => Ok(()),
            other => Err(format!("the leaked pipe says {said:?} ({other:?})")),
        }
    });
    let verdict = if failures == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {failures} failed");
    ExitCode::from(u8::from(failures != 0))
}

fn command(inmate: &str, sealed: &str, attempt: &str, port: u16) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--stand-in", inmate, sealed, attempt, &port.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn run(inmate: &str, sealed: &str, attempt: &str, port: u16) -> ExitStatus {
    command(inmate, sealed, attempt, port)
        .stderr(Stdio::null())
        .status()
        .expect("start a stand-in")
}

/// The last words are what tells this death from others, so they must come out of a process that is locked down.
fn out_of_memory(port: u16) -> Result<(), String> {
    let ended = command("compiler", "sealed", TAKE_ALL_MEMORY, port)
        .stderr(Stdio::piped())
        .output()
        .expect("start a stand-in");
    let said = String::from_utf8_lossy(&ended.stderr);
    let expected = format!("memory allocation of {PIECE_BYTES} bytes failed");
    match ended.status.signal() {
        Some(SIGABRT) if said.contains(&expected) => Ok(()),
        _ => Err(format!("it ended with {} and said {said:?}", ended.status)),
    }
}

fn expect(ended: ExitStatus, fate: Fate) -> Result<(), String> {
    let as_expected = match fate {
        Fate::Refused => ended.code() == Some(i32::from(REFUSED)),
        Fate::Killed => ended.signal() == Some(SIGSYS),
    };
    if as_expected {
        Ok(())
    } else {
        Err(format!("it ended with {ended}"))
    }
}

/// The attempts come to something where nothing holds them back; otherwise the rest shows nothing.
fn unlocked(port: u16) -> Result<(), String> {
    let told = Told {
        parent: rustix::process::getppid(),
        port,
    };
    for name in [
        "open_a_file",
        "list_a_directory",
        "connect_to_an_address",
        "fork_and_exec",
        "start_a_thread",
        "have_more_than_2_gib",
    ] {
        let Some(attempt) = find(name) else {
            return Err(format!("no attempt `{name}`"));
        };
        attempt(&told).map_err(|error| format!("`{name}` failed without lockdown: {error}"))?;
    }
    Ok(())
}
