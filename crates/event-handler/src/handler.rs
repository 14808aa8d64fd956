use std::future::{Future, ready};

use crate::event::{ConnectEvent, ConnectedEvent, DisconnectedEvent, GroupEvent, UserEvent};
use crate::rejection::Rejection;
use crate::response::{ConnectResponse, UserEventResponse};

/// What an application does about events. Each function is an `async fn` in an implementation, and optional: events without one are
/// accepted and nothing more.
///
/// Which events come at all is for the settings of the hub. Those of one connection that are answered, `connect` and user events, come one
/// after the other; the others may overtake them. A service that gets no answer, 408 or 5xx repeats an event with the same
/// [`Context::id`](crate::Context::id).
///
/// ```
/// use hubwire_event_handler::{EventHandler, Rejection, UserEvent, UserEventResponse};
///
/// struct Echo;
///
/// impl EventHandler for Echo {
///     async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
///         Ok(UserEventResponse::text(event.text()?))
///     }
/// }
/// ```
#[expect(
    unused_variables,
    reason = "the defaults do nothing, and their documentation names what they get"
)]
pub trait EventHandler: Send + Sync + 'static {
    /// Decides whether a client may connect, and as whom. A rejection is the answer to its handshake.
    ///
    /// ```
    /// use hubwire_event_handler::{
    ///     ConnectEvent, ConnectResponse, EventHandler, Rejection, StatusCode,
    /// };
    ///
    /// struct MembersOnly;
    ///
    /// impl EventHandler for MembersOnly {
    ///     async fn on_connect(&self, event: ConnectEvent) -> Result<ConnectResponse, Rejection> {
    ///         match event.query("ticket") {
    ///             Some("42") => Ok(ConnectResponse::new().user_id("alice").groups(["members"])),
    ///             _ => Err(Rejection::new(StatusCode::UNAUTHORIZED)),
    ///         }
    ///     }
    /// }
    /// ```
    fn on_connect(
        &self,
        event: ConnectEvent,
    ) -> impl Future<Output = Result<ConnectResponse, Rejection>> + Send {
        ready(Ok(ConnectResponse::new()))
    }

    /// Answers an event that a client raised, by a message or by an invocation.
    ///
    /// ```
    /// use hubwire_event_handler::{EventHandler, Rejection, UserEvent, UserEventResponse};
    ///
    /// struct Adder;
    ///
    /// impl EventHandler for Adder {
    ///     async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
    ///         let numbers: Vec<i64> = event.json()?;
    ///         Ok(UserEventResponse::json(&numbers.iter().sum::<i64>())?)
    ///     }
    /// }
    /// ```
    fn on_user_event(
        &self,
        event: UserEvent,
    ) -> impl Future<Output = Result<UserEventResponse, Rejection>> + Send {
        ready(Ok(UserEventResponse::empty()))
    }

    /// Learns that a connection is there.
    ///
    /// ```
    /// use hubwire_event_handler::{ConnectedEvent, EventHandler, Rejection};
    ///
    /// struct Doorman;
    ///
    /// impl EventHandler for Doorman {
    ///     async fn on_connected(&self, event: ConnectedEvent) -> Result<(), Rejection> {
    ///         eprintln!("{} is there", event.context.connection_id);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn on_connected(
        &self,
        event: ConnectedEvent,
    ) -> impl Future<Output = Result<(), Rejection>> + Send {
        ready(Ok(()))
    }

    /// Learns that a connection is gone for good.
    ///
    /// ```
    /// use hubwire_event_handler::{DisconnectedEvent, EventHandler, Rejection};
    ///
    /// struct Doorman;
    ///
    /// impl EventHandler for Doorman {
    ///     async fn on_disconnected(&self, event: DisconnectedEvent) -> Result<(), Rejection> {
    ///         eprintln!("{} is gone: {:?}", event.context.connection_id, event.reason);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn on_disconnected(
        &self,
        event: DisconnectedEvent,
    ) -> impl Future<Output = Result<(), Rejection>> + Send {
        ready(Ok(()))
    }

    /// Learns that a connection became a member of a group.
    ///
    /// ```
    /// use hubwire_event_handler::{EventHandler, GroupEvent, Rejection};
    ///
    /// struct Doorman;
    ///
    /// impl EventHandler for Doorman {
    ///     async fn on_joined(&self, event: GroupEvent) -> Result<(), Rejection> {
    ///         eprintln!("{} is in {}", event.context.connection_id, event.group);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn on_joined(&self, event: GroupEvent) -> impl Future<Output = Result<(), Rejection>> + Send {
        ready(Ok(()))
    }

    /// Learns that a connection is no longer a member of a group.
    ///
    /// ```
    /// use hubwire_event_handler::{EventHandler, GroupEvent, Rejection};
    ///
    /// struct Doorman;
    ///
    /// impl EventHandler for Doorman {
    ///     async fn on_left(&self, event: GroupEvent) -> Result<(), Rejection> {
    ///         eprintln!("{} left {}", event.context.connection_id, event.group);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    fn on_left(&self, event: GroupEvent) -> impl Future<Output = Result<(), Rejection>> + Send {
        ready(Ok(()))
    }
}
