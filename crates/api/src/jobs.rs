//! Jobs: work that follows a commit, and how far it is.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use store::{JobId, JobState};
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::Caller;
use crate::error::Error;
use crate::input::{At, Streamed};
use crate::{Api, reply, wire};

/// How often a job under way is looked at for a stream.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `GET /jobs/{id}`, as it is or as it goes on.
pub async fn show(
    State(api): State<Api>,
    caller: Caller,
    at: At,
    Streamed(is_streamed): Streamed,
) -> Result<Response, Error> {
    let job = find(&api, &caller, at.id("job")?).await?;
    if !is_streamed {
        return reply::ok(&wire::Job::new(&job, caller.is_operator()));
    }
    let _turn = api.stream()?;
    let progress = Progress { api, caller, _turn, id: job.id, last: None, is_over: false };
    let progress = stream::unfold(progress, Progress::next);
    Ok(Sse::new(progress).keep_alive(KeepAlive::default()).into_response())
}

/// The job, if it is the caller's or of a tenant they run.
async fn find(api: &Api, caller: &Caller, id: JobId) -> Result<store::Job, Error> {
    let job = api.store.read(move |tx| store::jobs::find(tx, id)).await?.ok_or(Error::NotFound("job"))?;
    let is_theirs = caller.runs(job.tenant) || job.created_by == caller.actor().as_str();
    if is_theirs { Ok(job) } else { Err(Error::NotFound("job")) }
}

struct Progress {
    api: Api,
    caller: Caller,
    _turn: OwnedSemaphorePermit,
    id: JobId,
    last: Option<wire::Job>,
    is_over: bool,
}

impl Progress {
    /// The next state that is another one; the stream ends with the job.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Progress)> {
        while !self.is_over {
            if self.last.is_some() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            // A job that is gone, or a store that is away, ends the stream; the client comes again.
            let job = find(&self.api, &self.caller, self.id).await.ok()?;
            self.is_over = matches!(job.state, JobState::Done | JobState::Failed);
            let now = wire::Job::new(&job, self.caller.is_operator());
            if self.last.as_ref() != Some(&now) {
                let event = Event::default().json_data(&now).ok()?;
                self.last = Some(now);
                return Some((Ok(event), self));
            }
        }
        None
    }
}
