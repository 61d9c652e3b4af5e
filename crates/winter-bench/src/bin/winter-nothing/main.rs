//! The server that does nothing: the floor under every race.
//!
//! It reads, finds where each request ends, and answers it with a canned reply: a value for GET,
//! `ok` for everything else. It stores nothing and looks nothing up, so what it costs is what any
//! server of this shape costs: one single-threaded runtime a core, accepted sockets handed round,
//! one read, one write.

mod requests;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use winter_bench::wire::VALUE_BYTE;

use requests::{Request, Requests};

/// Bytes read at once from a connection.
const READ_LEN: usize = 64 * 1024;

/// A connection whose request does not end within this many bytes is closed.
const REQUEST_LEN_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Parser)]
#[command(about = "Answers every request with a canned reply: the floor under a race")]
struct Arguments {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 6060)]
    port: u16,
    /// Bytes in the value that answers GET.
    #[arg(long, default_value_t = 64)]
    value_len: usize,
    /// Runtimes, each on a thread of its own; one for each core if not given.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("winter-nothing: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> io::Result<()> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(cores).max(1);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))?;
    listener.set_nonblocking(true)?;
    let canned = Arc::new(Canned::new(arguments.value_len));
    let accepting = Builder::new_current_thread().enable_io().build()?;
    let mut runtimes = vec![accepting.handle().clone()];
    for _ in 1..threads {
        runtimes.push(start_runtime()?);
    }
    accepting.block_on(accept(listener, &runtimes, &canned))
}

/// A runtime on a thread of its own, for as long as the process lives.
fn start_runtime() -> io::Result<Handle> {
    let runtime: Runtime = Builder::new_current_thread().enable_io().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

async fn accept(
    listener: TcpListener,
    runtimes: &[Handle],
    canned: &Arc<Canned>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    for runtime in runtimes.iter().cycle() {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let canned = Arc::clone(canned);
        runtime.spawn(async move {
            // A client that goes away ends its own session and nothing else.
            let _ = session(stream, &canned).await;
        });
    }
    Ok(())
}

/// Replies made once.
#[derive(Debug)]
struct Canned {
    resp_value: Vec<u8>,
    line_value: Vec<u8>,
}

impl Canned {
    fn new(value_len: usize) -> Self {
        let value = vec![VALUE_BYTE; value_len];
        let resp_value = [format!("${value_len}\r\n").as_bytes(), &value, b"\r\n"].concat();
        Self { resp_value, line_value: [&value[..], b"\n"].concat() }
    }

    fn reply(&self, request: Request) -> &[u8] {
        match request {
            Request::RespRead => &self.resp_value,
            Request::RespOther => b"+ok\r\n",
            Request::LineRead => &self.line_value,
            Request::LineOther => b"ok\n",
        }
    }
}

async fn session(stream: std::net::TcpStream, canned: &Canned) -> io::Result<()> {
    let mut stream = TcpStream::from_std(stream)?;
    let mut input = vec![0; READ_LEN];
    let mut output = Vec::new();
    let mut held = 0;
    loop {
        let read = stream.read(&mut input[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        output.clear();
        let mut requests = Requests::new(&input[..held]);
        for request in &mut requests {
            output.extend_from_slice(canned.reply(request));
        }
        let used = requests.used();
        input.copy_within(used..held, 0);
        held -= used;
        if held == input.len() {
            if held >= REQUEST_LEN_MAX {
                return Ok(());
            }
            input.resize(2 * held, 0);
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
        }
    }
}
