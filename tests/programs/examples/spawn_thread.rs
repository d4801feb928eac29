//! Tries to start a thread (c11).

use greenroom_test_programs::{Answer, Program, Request, program, say};

struct SpawnThread;

impl Program for SpawnThread {
    fn pre_process(_request: Request) -> Answer {
        match std::thread::Builder::new().spawn(|| 7) {
            Ok(thread) => say(format!("joined {:?}", thread.join().ok())),
            Err(error) => say(format!("refused: {:?}", error.kind())),
        }
    }
}

program!(SpawnThread);
