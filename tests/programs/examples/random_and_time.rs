//! Says what it finds of randomness, time and environment.

use greenroom_test_programs::{Answer, Program, Request, program, say};

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct RandomAndTime;

impl Program for RandomAndTime {
    fn pre_process(_request: Request) -> Answer {
        let random = RandomState::new().build_hasher().finish();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_nanos());
        let waited = Instant::now();
        #[expect(
            clippy::disallowed_methods,
            reason = "the behaviour of this program; the host returns at once"
        )]
        std::thread::sleep(Duration::from_secs(3600));
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).unwrap_or(0);
        let waited = waited.elapsed().as_nanos();
        let (arguments, variables) = (std::env::args().count(), std::env::vars().count());
        say(format!(
            "{random} {now} {waited} {read} {arguments} {variables}"
        ))
    }
}

program!(RandomAndTime);
