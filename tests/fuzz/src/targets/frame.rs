//! What worker and sandbox child say to each other, both ways: the child is the one that a guest may have taken over, and the
//! worker is the one that must not be led astray by it.

use std::io::{self, Read};

use greenroom_model::Digest;
use greenroom_orchestrator::{Descriptor, Step};
use greenroom_sandbox::Called;
use greenroom_sandbox_child::{
    Announced, DescribeRevision, Frame, FrameError, FrameReader, Hello, Kind, Load, Refused,
    ResumeRun, StartRun, TellPipeline, decode, encoded,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads the bytes as a stream of frames, at once and in pieces, and every body as what its kind says it is.
pub fn run(data: &[u8]) {
    let (whole, end) = frames(data, usize::MAX);
    let (pieces, pieces_end) = frames(data, 7);
    assert_eq!(whole, pieces, "frames are the same however they arrive");
    assert_eq!(end, pieces_end);
    let mut sent = Vec::new();
    for frame in &whole {
        match frame.header.to_bytes(frame.body.len()) {
            Ok(header) => sent.extend(header),
            Err(error) => panic!("what was read is not sent: {error}"),
        }
        sent.extend(&frame.body);
    }
    assert!(data.starts_with(&sent), "what was read is what was sent");
    assert!(end.is_some() || sent.len() == data.len());
    for frame in &whole {
        body(frame);
    }
}

/// How many frames a stream has whose body reads back; none, if one of them does not or the stream is cut.
#[must_use]
pub fn good_frames(data: &[u8]) -> Option<usize> {
    let (frames, end) = frames(data, usize::MAX);
    let good = end.is_none() && frames.iter().all(body);
    good.then_some(frames.len())
}

/// Gives at most so many bytes at a time.
struct Paced<'a>(&'a [u8], usize);

impl Read for Paced<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

/// The frames of a stream, and what ended it where that was not its end.
fn frames(data: &[u8], pace: usize) -> (Vec<Frame>, Option<String>) {
    let mut reader = FrameReader::new(Paced(data, pace));
    let mut frames = Vec::new();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(FrameError::Read(error)) => panic!("nothing failed to be read: {error}"),
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// Whether a body is what its kind says.
fn body(frame: &Frame) -> bool {
    let body = &frame.body;
    match frame.header.kind {
        Kind::Load => equal::<Load>(body),
        Kind::Pipeline => stable::<TellPipeline<'static>>(body),
        Kind::Start => stable::<StartRun>(body),
        Kind::Resume => stable::<ResumeRun>(body),
        Kind::Describe => equal::<DescribeRevision>(body),
        Kind::Hello => equal::<Hello>(body),
        Kind::Step => stable::<Step>(body),
        Kind::Described => stable::<Called<Descriptor>>(body),
        Kind::Announce => equal::<Announced<'static>>(body),
        Kind::Missing => equal::<Digest>(body),
        Kind::Failed => equal::<String>(body),
        Kind::Refused => equal::<Refused>(body),
        Kind::Forget | Kind::Ping | Kind::Pong => decode::<()>(body).is_ok(),
    }
}

/// Reads a body; what is read crosses again as the same value.
fn equal<T: Serialize + DeserializeOwned + PartialEq>(body: &[u8]) -> bool {
    let Ok(value) = decode::<T>(body) else {
        return false;
    };
    let again = again(&value);
    assert!(decode::<T>(&again).is_ok_and(|crossed| crossed == value));
    true
}

/// Reads a body; what is read crosses again as the same bytes.
fn stable<T: Serialize + DeserializeOwned>(body: &[u8]) -> bool {
    let Ok(value) = decode::<T>(body) else {
        return false;
    };
    let bytes = again(&value);
    let crossed = decode::<T>(&bytes).map(|crossed| again(&crossed));
    assert!(crossed.is_ok_and(|crossed| crossed == bytes));
    true
}

fn again(value: &impl Serialize) -> Vec<u8> {
    match encoded(value) {
        Ok(bytes) => bytes,
        Err(error) => panic!("what was read is not written: {error}"),
    }
}
