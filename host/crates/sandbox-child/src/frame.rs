//! Frames: a header of fixed size, then a body. Several frames are written and read at once wherever they queue up.
//!
//! Header, little-endian: length of the body (4 bytes), kind (1), flags (1), zero (2), run (8), pipeline (8). A reader
//! takes no length on trust: memory grows as bytes arrive, up to [`FRAME_MAX_BYTES`], and a kind, flag or length that is
//! not known ends the connection, because both ends are one binary and the only peer that would send it is a hostile one.

use std::io::{self, Read};

/// Size of a header.
pub const HEADER_BYTES: usize = 24;
/// Largest body: an entity, 16 MiB of documents, and the requests of calls that faulted.
pub const FRAME_MAX_BYTES: usize = 128 << 20;
/// Read at once; holds some hundred usual frames.
const BUFFER_BYTES: usize = 256 << 10;
/// By how much a large body grows as it arrives.
const STEP_BYTES: usize = 256 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// To the child: compiled code, in the memory file that comes with it.
    Load = 1,
    /// To the child: a pipeline, referred to by its number afterwards.
    Pipeline = 2,
    /// To the child: a pipeline that is not referred to again.
    Forget = 3,
    /// To the child: begin a run.
    Start = 4,
    /// To the child: take up a run with what its reads gave.
    Resume = 5,
    /// To the child: ask a processor what it is.
    Describe = 6,
    /// To the child: answer, if you can.
    Ping = 7,
    /// From the child, first: it is locked down and reads.
    Hello = 32,
    /// From the child: what a turn gave.
    Step = 33,
    /// From the child: what a processor says it is.
    Described = 34,
    /// From the child: the call it is about to make; only where it was asked to say.
    Announce = 35,
    /// From the child: a turn needs a revision that is not loaded, or not any more.
    Missing = 36,
    /// From the child: a turn failed through us.
    Failed = 37,
    /// From the child: compiled code that the engine does not take.
    Refused = 38,
    /// From the child: it reads.
    Pong = 39,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Load,
        Kind::Pipeline,
        Kind::Forget,
        Kind::Start,
        Kind::Resume,
        Kind::Describe,
        Kind::Ping,
        Kind::Hello,
        Kind::Step,
        Kind::Described,
        Kind::Announce,
        Kind::Missing,
        Kind::Failed,
        Kind::Refused,
        Kind::Pong,
    ];

    fn from_byte(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a frame says beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Of a turn: somebody waits for it, so it goes before others.
    pub on_request: bool,
    /// Of a turn: each of its calls is announced before it is made.
    pub announce: bool,
    /// The turn it belongs to; unique in the life of a child. Of a ping, its number.
    pub run: u64,
    /// The pipeline it refers to; of `Describe`, 0.
    pub pipeline: u64,
}

impl Header {
    /// A header without flags.
    #[must_use]
    pub fn new(kind: Kind, run: u64, pipeline: u64) -> Header {
        Header {
            kind,
            on_request: false,
            announce: false,
            run,
            pipeline,
        }
    }

    /// The header in front of a body of `length` bytes.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`].
    pub fn to_bytes(self, length: usize) -> Result<[u8; HEADER_BYTES], FrameError> {
        if length > FRAME_MAX_BYTES {
            return Err(FrameError::TooLarge(length as u64));
        }
        let mut bytes = [0; HEADER_BYTES];
        let length = u32::try_from(length).map_err(|_| FrameError::TooLarge(length as u64))?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = u8::from(self.on_request) | u8::from(self.announce) << 1;
        bytes[8..16].copy_from_slice(&self.run.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.pipeline.to_le_bytes());
        Ok(bytes)
    }

    /// Reads a header: itself and the length of the body that follows.
    ///
    /// # Errors
    /// [`FrameError`] for what no peer of ours sends.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<(Header, usize), FrameError> {
        let [l0, l1, l2, l3, kind, flags, z0, z1, rest @ ..] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let number = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&rest[from..from + 8]);
            u64::from_le_bytes(number)
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > FRAME_MAX_BYTES {
            return Err(FrameError::TooLarge(length as u64));
        }
        let kind = Kind::from_byte(kind).ok_or(FrameError::Unknown)?;
        if flags > 3 || z0 != 0 || z1 != 0 {
            return Err(FrameError::Unknown);
        }
        let header = Header {
            kind,
            on_request: flags & 1 != 0,
            announce: flags & 2 != 0,
            run: number(0),
            pipeline: number(8),
        };
        Ok((header, length))
    }
}

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Vec<u8>,
}

/// What ends a connection.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A body larger than is sent.
    #[error("a frame of {0} bytes is larger than {FRAME_MAX_BYTES}")]
    TooLarge(u64),
    /// A kind or a flag that does not exist.
    #[error("a frame of no known kind")]
    Unknown,
    /// A body that does not read back.
    #[error("a frame does not read back: {0}")]
    Malformed(String),
    /// The peer went away within a frame.
    #[error("a frame is cut")]
    Cut,
    /// The connection broke.
    #[error("read a frame: {0}")]
    Read(#[from] io::Error),
}

/// Splits what arrives into frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    from: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// A body that is larger than the buffer and has not arrived whole.
    partial: Option<(Header, usize, Vec<u8>)>,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `from`.
    pub fn new(from: R) -> FrameReader<R> {
        FrameReader {
            from,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            partial: None,
        }
    }

    /// Where it reads from.
    pub fn source(&mut self) -> &mut R {
        &mut self.from
    }

    /// The next frame; none at the end of the stream. An error of kind `WouldBlock` or `TimedOut` from the source is passed
    /// on, and reading can then be taken up again.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is of no use any more, but after such an error of the source.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            if let Some((header, length, mut body)) = self.partial.take() {
                let room = (length - body.len()).min(STEP_BYTES);
                let before = body.len();
                body.resize(before + room, 0);
                let read = self.from.read(&mut body[before..]);
                body.truncate(before + read.as_ref().copied().unwrap_or(0));
                self.partial = Some((header, length, body));
                match read {
                    Ok(0) => return Err(FrameError::Cut),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) if self.end == 0 => return Ok(None),
                Ok(0) => return Err(FrameError::Cut),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A frame that has arrived whole, or the beginning of a large one set aside.
    fn buffered(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some((header, length, body)) = self.partial.take() {
            if body.len() == length {
                return Ok(Some(Frame { header, body }));
            }
            self.partial = Some((header, length, body));
            return Ok(None);
        }
        let waiting = &self.buffer[self.start..self.end];
        let Some((header, rest)) = waiting.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let (header, length) = Header::from_bytes(header)?;
        if rest.len() >= length {
            let body = rest[..length].to_vec();
            self.start += HEADER_BYTES + length;
            return Ok(Some(Frame { header, body }));
        }
        if HEADER_BYTES + length > self.buffer.len() {
            self.partial = Some((header, length, rest.to_vec()));
            (self.start, self.end) = (0, 0);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: Kind, run: u64, body: &[u8]) -> Vec<u8> {
        let header = Header {
            on_request: true,
            ..Header::new(kind, run, 7)
        };
        [header.to_bytes(body.len()).unwrap().as_slice(), body].concat()
    }

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(into.len());
            into[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    #[test]
    fn frames_survive_however_they_arrive() {
        let large = vec![5; BUFFER_BYTES * 3];
        let stream = [
            bytes(Kind::Start, 1, b"one"),
            bytes(Kind::Step, 2, b""),
            bytes(Kind::Resume, 3, &large),
            bytes(Kind::Ping, 4, b"four"),
        ]
        .concat();
        for pace in [1, 7, 4096, usize::MAX] {
            if pace == 1 && stream.len() > 2_000_000 {
                continue;
            }
            let mut reader = FrameReader::new(Trickle(&stream, pace));
            let mut read = Vec::new();
            while let Some(frame) = reader.next_frame().unwrap() {
                read.push((frame.header.run, frame.body.len()));
                assert!(frame.header.on_request && !frame.header.announce);
                assert_eq!(frame.header.pipeline, 7);
            }
            assert_eq!(read, [(1, 3), (2, 0), (3, large.len()), (4, 4)]);
        }
    }

    #[test]
    fn hostile_headers_end_the_connection() {
        let good = bytes(Kind::Step, 1, b"x");
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            FrameReader::new(bytes.as_slice()).next_frame()
        };
        assert!(matches!(changed(4, 0), Err(FrameError::Unknown)));
        assert!(matches!(changed(4, 255), Err(FrameError::Unknown)));
        assert!(matches!(changed(5, 4), Err(FrameError::Unknown)));
        assert!(matches!(changed(6, 1), Err(FrameError::Unknown)));
        assert!(matches!(changed(3, 255), Err(FrameError::TooLarge(_))));
        // A length that is allowed but does not come: cut, and never allocated.
        assert!(matches!(changed(3, 7), Err(FrameError::Cut)));
    }

    #[test]
    fn a_frame_cut_anywhere_is_cut() {
        let stream = bytes(Kind::Step, 1, b"body");
        for end in 1..stream.len() {
            let read = FrameReader::new(&stream[..end]).next_frame();
            assert!(matches!(read, Err(FrameError::Cut)), "at {end}");
        }
        assert!(
            FrameReader::new(&stream[..0])
                .next_frame()
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_body_that_is_too_large_is_not_sent() {
        let header = Header::new(Kind::Step, 1, 0);
        assert!(matches!(
            header.to_bytes(FRAME_MAX_BYTES + 1),
            Err(FrameError::TooLarge(_))
        ));
    }

    #[test]
    fn every_kind_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind as u8), Some(kind));
        }
    }
}
