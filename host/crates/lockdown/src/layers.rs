//! Which layers a process is behind: for one line of the log, so that an operator knows what a kernel gives.

use std::fmt;

/// The layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Network, IPC, host name and user ids of its own, all of them empty.
    pub namespaces: bool,
    /// It holds no capability.
    pub capabilities: bool,
    /// No path may be opened, no port bound or reached, no process outside signalled.
    pub landlock: bool,
    /// All but a few system calls are refused.
    pub seccomp: bool,
}

impl Layers {
    /// As one byte, to be told to another process.
    #[must_use]
    pub fn to_bits(self) -> u8 {
        u8::from(self.namespaces)
            | u8::from(self.capabilities) << 1
            | u8::from(self.landlock) << 2
            | u8::from(self.seccomp) << 3
    }

    /// From the byte another process told. Bits that mean nothing are ignored.
    #[must_use]
    pub fn from_bits(bits: u8) -> Layers {
        let bit = |place: u8| bits & (1 << place) != 0;
        Layers {
            namespaces: bit(0),
            capabilities: bit(1),
            landlock: bit(2),
            seccomp: bit(3),
        }
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("seccomp", self.seccomp),
            ("landlock", self.landlock),
            ("namespaces", self.namespaces),
            ("no capabilities", self.capabilities),
        ];
        let active: Vec<&str> = all
            .iter()
            .filter(|(_, active)| *active)
            .map(|(name, _)| *name)
            .collect();
        f.write_str(&active.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_survive_being_told() {
        for bits in 0..16 {
            assert_eq!(Layers::from_bits(bits).to_bits(), bits);
        }
        let some = Layers::from_bits(0b1001);
        assert_eq!(some.to_string(), "seccomp, namespaces");
    }
}
