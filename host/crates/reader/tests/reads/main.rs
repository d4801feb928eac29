//! Reads over real sockets: what arrives, what is refused before a packet leaves, what a hostile
//! server cannot do. Servers are on 127.0.0.1, which a policy permits where a test wants an answer.

mod addresses;
mod answers;
mod redirects;
mod server;
mod sources;
mod support;
mod tls;
