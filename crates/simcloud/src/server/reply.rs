use std::panic::resume_unwind;
use std::time::Duration;

use axum::response::Response;

/// What goes back, once the delay is over.
pub(crate) enum Reply {
    Whole(Response),
    /// The connection closes without an answer.
    Lost,
}

impl Reply {
    /// The response, `delay` later than it could be.
    pub(crate) async fn send(self, delay: Duration) -> Response {
        if !delay.is_zero() {
            wait(delay).await;
        }
        match self {
            Self::Whole(response) => response,
            Self::Lost => lose(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow answer is slow for the caller, whatever the world's clock"
)]
async fn wait(delay: Duration) {
    tokio::time::sleep(delay).await;
}

/// Ends the task of the connection, and with it the connection, without an answer: what a caller
/// sees when an answer gets lost. Nothing is printed, and the server lives on.
fn lose() -> ! {
    resume_unwind(Box::new("an answer was lost on purpose"))
}
