//! Runs a [`Machine`] on tokio: one task that owns the socket and the state.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::options::Options;
use crate::socket::{Read, Socket, Tls};
use crate::state::{AccessUrl, Action, Answer, Input, Machine, Request};
use crate::{Error, Event};

/// Frames that may wait for the socket before no further request is taken.
const BACKLOG_MAX: usize = 1024;

pub(crate) type Credential =
    Arc<dyn Fn() -> BoxFuture<Result<AccessUrl, Error>> + Send + Sync + 'static>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Reply = oneshot::Sender<Result<Answer, Error>>;

type Opened = Result<Box<Socket>, Error>;

/// What handles tell the task.
pub(crate) enum Command {
    Request {
        id: u64,
        request: Request,
        reply: Reply,
    },
    Cancel(u64),
    Stop,
}

/// What handles can see of the connection.
#[derive(Default)]
pub(crate) struct Shared {
    connection_id: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn connection_id(&self) -> Option<String> {
        self.connection_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, id: Option<&str>) {
        let mut current = self
            .connection_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != id {
            *current = id.map(str::to_owned);
        }
    }
}

pub(crate) struct Driver {
    pub(crate) options: Options,
    pub(crate) credential: Credential,
    pub(crate) tls: Tls,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) started: Option<oneshot::Sender<Result<(), Error>>>,
    pub(crate) shared: Arc<Shared>,
}

/// What is under way.
#[derive(Default)]
struct Work {
    asking: Option<BoxFuture<Result<AccessUrl, Error>>>,
    opening: Option<(u64, BoxFuture<Opened>)>,
    socket: Option<(u64, Box<Socket>)>,
    replies: HashMap<u64, Reply>,
    waiting: VecDeque<Event>,
    is_held_back: bool,
    has_ended: bool,
}

enum Turn {
    Input(Input),
    Opened(u64, Opened),
    Command(Option<Command>),
    EventTaken,
}

impl Driver {
    pub(crate) async fn run(mut self) {
        let zero = Instant::now();
        let mut machine = Machine::new(self.options.clone(), RandomState::new().hash_one(0));
        let mut work = Work::default();
        let mut actions = Vec::new();
        let mut has_handles = true;
        machine.handle(Duration::ZERO, Input::Start, &mut actions);
        loop {
            self.act(&mut actions, &mut work);
            self.shared.set(machine.connection_id());
            if work.has_ended && work.waiting.is_empty() {
                break;
            }
            let is_held_back = !work.waiting.is_empty();
            let turn = match is_held_back == work.is_held_back {
                false => {
                    work.is_held_back = is_held_back;
                    Turn::Input(Input::HeldBack(is_held_back))
                }
                true => self.next(&mut work, &machine, zero, has_handles).await,
            };
            let input = match turn {
                Turn::EventTaken => continue,
                Turn::Input(input) => {
                    if let Input::Closed { .. } = input {
                        work.socket = None;
                    }
                    input
                }
                Turn::Opened(number, Ok(socket)) => {
                    work.socket = Some((number, socket));
                    Input::Opened { socket: number }
                }
                Turn::Opened(socket, Err(error)) => Input::OpenFailed { socket, error },
                Turn::Command(Some(Command::Request { id, request, reply })) => {
                    work.replies.insert(id, reply);
                    Input::Request { id, request }
                }
                Turn::Command(Some(Command::Cancel(id))) => {
                    work.replies.remove(&id);
                    Input::Cancel { id }
                }
                Turn::Command(Some(Command::Stop)) => Input::Stop,
                // Nobody can ask for anything any more.
                Turn::Command(None) => {
                    has_handles = false;
                    Input::Stop
                }
            };
            machine.handle(zero.elapsed(), input, &mut actions);
        }
        self.shared.set(None);
    }

    /// Waits for the next thing to happen.
    async fn next(
        &mut self,
        work: &mut Work,
        machine: &Machine,
        zero: Instant,
        has_handles: bool,
    ) -> Turn {
        let timeout = machine.next_timeout().map(|at| zero + at);
        let backlog = work.socket.as_ref().map_or(0, |(_, it)| it.backlog());
        let takes_requests = has_handles && machine.has_room() && backlog < BACKLOG_MAX;
        let reads = work.waiting.is_empty();
        tokio::select! {
            biased;
            permit = self.events.reserve(), if !work.waiting.is_empty() => {
                match permit {
                    Ok(permit) => {
                        if let Some(event) = work.waiting.pop_front() {
                            permit.send(event);
                        }
                    }
                    // Nobody wants events.
                    Err(_) => work.waiting.clear(),
                }
                Turn::EventTaken
            }
            () = sleep_until(timeout.unwrap_or(zero)), if timeout.is_some() => Turn::Input(Input::Timeout),
            (number, read) = turn(&mut work.socket, reads) => Turn::Input(match read {
                Read::Frame(message) => Input::Frame { socket: number, message },
                Read::Other => Input::Activity { socket: number },
                Read::Closed { code, reason } => Input::Closed { socket: number, code, reason },
            }),
            url = finish(&mut work.asking) => Turn::Input(Input::Url(url)),
            (number, socket) = finish_opening(&mut work.opening) => Turn::Opened(number, socket),
            command = self.commands.recv(), if takes_requests => Turn::Command(command),
        }
    }

    fn act(&mut self, actions: &mut Vec<Action>, work: &mut Work) {
        for action in actions.drain(..) {
            match action {
                Action::AskUrl => work.asking = Some((self.credential)()),
                Action::Open { socket, url } => {
                    work.socket = None;
                    let opening = Socket::open(url, self.options.protocol, self.tls.clone());
                    work.opening = Some((socket, Box::pin(opening)));
                }
                Action::Send(message) => {
                    if let Some((_, socket)) = &mut work.socket {
                        socket.push(&message);
                    }
                }
                Action::Close => {
                    if let Some((_, socket)) = &mut work.socket {
                        socket.push_close();
                    }
                }
                Action::Drop => {
                    work.asking = None;
                    work.opening = None;
                    work.socket = None;
                }
                Action::Done { id, outcome } => {
                    if let Some(reply) = work.replies.remove(&id) {
                        // Whoever asked may have gone.
                        reply.send(outcome).ok();
                    }
                }
                Action::Emit(event) => work.waiting.push_back(event),
                Action::Started(outcome) => {
                    if let Some(started) = self.started.take() {
                        started.send(outcome).ok();
                    }
                }
                Action::Ended => {
                    work.has_ended = true;
                    work.asking = None;
                    work.opening = None;
                    work.socket = None;
                    work.replies.clear();
                    self.commands.close();
                }
            }
        }
    }
}

async fn turn(socket: &mut Option<(u64, Box<Socket>)>, reads: bool) -> (u64, Read) {
    match socket {
        Some((number, socket)) => (*number, socket.turn(reads).await),
        None => std::future::pending().await,
    }
}

async fn finish<T>(future: &mut Option<BoxFuture<T>>) -> T {
    let Some(running) = future else {
        return std::future::pending().await;
    };
    let output = running.await;
    *future = None;
    output
}

async fn finish_opening<T>(future: &mut Option<(u64, BoxFuture<T>)>) -> (u64, T) {
    let Some((number, running)) = future else {
        return std::future::pending().await;
    };
    let number = *number;
    let output = running.await;
    *future = None;
    (number, output)
}
