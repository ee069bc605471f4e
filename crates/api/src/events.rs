//! The journal: page by page, or followed as it grows.
//!
//! **Always.** The cursor is the entry's number, on a page and in a stream, so that a client may go on with either where the
//! other ended. A stream asks now and then who it is for: it ends with the token or session that began it. What a stream has
//! looked through it does not look through again, whether or not anything of it was asked for.
//! **Bounds.** How much is read at once and how often, and how many streams there are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use identity::Right;
use store::{Event, EventFilter, Tx};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::access::View;
use crate::auth::{Again, Caller};
use crate::error::Error;
use crate::input::{Params, Streamed, text, wrong};
use crate::reply::{self, Page};
use crate::{Api, wire};

/// How many entries a stream reads at once.
const READ_MAX: usize = 500;
/// How often a stream looks without being told: other processes write, too.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a stream waits at least after it has read all there was: with each of many commits a second comes a notice.
const READ_EVERY: Duration = Duration::from_millis(100);
/// How often a stream asks whether it may still go on.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// After how long a client whose stream was cut comes again.
const RETRY: Duration = Duration::from_secs(1);

/// `GET /events`.
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    again: Again,
    params: Params,
    Streamed(is_streamed): Streamed,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let limit = params.limit()?;
    let form = "the number of an entry";
    let after = params.parse::<u64>("after", form)?.filter(|after| *after <= i64::MAX as u64);
    let allotment = params.allotment("allotment")?;
    let mut filter = EventFilter {
        after: after.unwrap_or(0),
        kind: params.text("kind"),
        limit: limit + 1,
        ..EventFilter::default()
    };
    if let Some(reference) = allotment {
        filter.at_or_below = Some(api.allotment(&caller, reference, RIGHT).await?.id.into());
    }
    let view = view(&api, &caller, &filter).await?;
    if !is_streamed {
        let found = api.store.read(move |tx| seen(tx, &view, &filter)).await?;
        return reply::ok(&Page::of(found, limit, |event: &Event| event.seq.to_string(), wire::Event::new));
    }
    if let Some(last) = text(&headers, http::HeaderName::from_static("last-event-id")) {
        filter.after = last.trim().parse().map_err(|_| wrong("Last-Event-ID", format!("must be {form}")))?;
    }
    let turn = api.stream()?;
    Ok(follow(api, again, turn, view, EventFilter { limit: READ_MAX, ..filter }))
}

/// Whose journal one may read: of members only the owner, who may also make children there, not whoever may claim there.
const RIGHT: Right = Right::Make;

/// What may be seen; an allotment that was asked for was looked at already.
async fn view(api: &Api, caller: &Caller, filter: &EventFilter) -> Result<View, Error> {
    match (&filter.at_or_below, caller.tenant_scope()) {
        (Some(_), Some(tenant)) => Ok(View::Tenant(tenant)),
        _ => api.owned(caller).await,
    }
}

fn seen(tx: &mut Tx, view: &View, filter: &EventFilter) -> Result<Vec<Event>, store::Error> {
    let View::Below(tops) = view else {
        return store::events::list(tx, &EventFilter { tenant: view.tenant(), ..filter.clone() });
    };
    let mut found = Vec::new();
    for top in tops {
        let own = EventFilter { at_or_below: Some(top.id.into()), ..filter.clone() };
        found.extend(store::events::list(tx, &own)?);
    }
    // Only the first of each can be on the page.
    found.sort_by_key(|event: &Event| event.seq);
    found.dedup_by_key(|event| event.seq);
    found.truncate(filter.limit);
    Ok(found)
}

/// What may be seen, and up to which number that is all: the last one found on a full page, otherwise the last one there is.
fn seen_up_to(tx: &mut Tx, view: &View, filter: &EventFilter) -> Result<(Vec<Event>, u64), store::Error> {
    let found = seen(tx, view, filter)?;
    let up_to = match found.last() {
        Some(last) if found.len() >= filter.limit => last.seq,
        _ => last_shown(tx, filter.after)?,
    };
    Ok((found, up_to))
}

/// The highest number after this one that is shown by now; this one, if there is none. The store lists from a number
/// upwards, and only what is settled, so it is searched for: a few entries are read, however many there are.
fn last_shown(tx: &mut Tx, after: u64) -> Result<u64, store::Error> {
    let mut next = |after| {
        let found = store::events::list(tx, &EventFilter { after, limit: 1, ..EventFilter::default() })?;
        Ok::<_, store::Error>(found.first().map(|event| event.seq))
    };
    // By strides twice as long each, until one leads past the end...
    let (mut low, mut stride) = (after, 0);
    while let Some(seq) = next(low.saturating_add(stride))? {
        (low, stride) = (seq, stride * 2 + 1);
    }
    // ...and back by halves: `low` is shown, or where this began, and nothing after `high` is.
    let mut high = low.saturating_add(stride);
    while low < high {
        let middle = low + (high - low) / 2;
        match next(middle)? {
            Some(seq) => low = seq,
            None => high = middle,
        }
    }
    Ok(low)
}

/// A stream: where it is, and what it has read and not yet sent.
struct Following {
    api: Api,
    again: Again,
    _turn: OwnedSemaphorePermit,
    view: View,
    filter: EventFilter,
    read: VecDeque<Event>,
    /// Whether the last read has come to the end.
    is_at_end: bool,
    grown: watch::Receiver<u64>,
    checked: Instant,
}

fn follow(api: Api, again: Again, turn: OwnedSemaphorePermit, view: View, filter: EventFilter) -> Response {
    let (grown, checked) = (api.store.watch_journal(), Instant::now());
    let following =
        Following { api, again, _turn: turn, view, filter, read: VecDeque::new(), is_at_end: false, grown, checked };
    // At once, so that the client knows that it is heard.
    let first = sse::Event::default().comment("the journal").retry(RETRY);
    let events = stream::once(async { Ok::<_, Infallible>(first) }).chain(stream::unfold(following, Following::next));
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("still here")).into_response()
}

impl Following {
    async fn next(mut self) -> Option<(Result<sse::Event, Infallible>, Following)> {
        loop {
            if let Some(event) = self.read.pop_front() {
                let sent = sse::Event::default().id(event.seq.to_string()).json_data(wire::Event::new(&event)).ok()?;
                return Some((Ok(sent), self));
            }
            if self.is_at_end {
                tokio::time::sleep(READ_EVERY).await;
                // Told or not, it looks again.
                drop(tokio::time::timeout(LOOK_EVERY, self.grown.changed()).await);
            }
            self.check().await?;
            self.grown.mark_unchanged();
            let (view, filter) = (self.view.clone(), self.filter.clone());
            // A store that is away ends the stream; the client comes again and goes on where it was.
            let (read, up_to) = self.api.store.read(move |tx| seen_up_to(tx, &view, &filter)).await.ok()?;
            self.is_at_end = read.len() < READ_MAX;
            (self.read, self.filter.after) = (read.into(), up_to);
        }
    }

    /// Whether the caller is still somebody, and what they may see by now.
    async fn check(&mut self) -> Option<()> {
        if self.checked.elapsed() < CHECK_EVERY {
            return Some(());
        }
        self.checked = Instant::now();
        let caller = self.again.caller(&self.api).await.ok()?;
        if let Some(reference) = self.filter.at_or_below.clone() {
            self.api.allotment(&caller, reference, RIGHT).await.ok()?;
        }
        self.view = view(&self.api, &caller, &self.filter).await.ok()?;
        Some(())
    }
}
