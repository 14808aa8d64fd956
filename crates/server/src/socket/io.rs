use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

/// Ciphertext that may wait inside a TLS session for the kernel. Bytes.
const TLS_BUFFER_MAX: usize = 64 * 1024;

/// A bare TCP socket, or one with its TLS session. Never blocks.
pub(crate) enum Io {
    /// Plain.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Tls>),
}

/// A TLS session after its handshake.
pub(crate) struct Tls {
    tcp: TcpStream,
    session: ServerConnection,
}

/// What a queue is written to. It takes as much as it wants and never blocks.
pub(super) trait Sink {
    /// Takes the start of a slice.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Takes the start of slices, one after the other.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Passes on what it has taken and kept; false if it cannot pass on all of it now.
    fn flush(&mut self) -> io::Result<bool>;
}

impl Io {
    pub(crate) fn plain(tcp: std::net::TcpStream) -> Self {
        Self::Plain(TcpStream::from_std(tcp))
    }

    pub(crate) fn tls(tcp: std::net::TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(TLS_BUFFER_MAX));
        Self::Tls(Box::new(Tls {
            tcp: TcpStream::from_std(tcp),
            session,
        }))
    }

    /// Asks for readiness in both directions, once and for all.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.tcp_mut()
            .register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Tells whether a read that did not fill its buffer has read all there is.
    pub(crate) fn drains_by_short_read(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Says that nothing more will be sent. What the peer still sends can be read.
    pub(crate) fn finish(&mut self) {
        if let Self::Tls(tls) = self {
            tls.session.send_close_notify();
            // Whether it arrives makes no difference: the closing handshake of the WebSocket has been sent before it.
            tls.flush().ok();
        }
        self.tcp_mut().shutdown(Shutdown::Write).ok();
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
        }
    }
}

impl Sink for Io {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Tls(tls) => tls.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that ends TCP without ending TLS is as gone as any other.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            if self.session.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.session.writer().write_vectored(slices)?;
        self.flush()?;
        match written {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            written => Ok(written),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(tcp) => f.debug_tuple("Plain").field(tcp).finish(),
            Self::Tls(tls) => f.debug_tuple("Tls").field(&tls.tcp).finish(),
        }
    }
}
