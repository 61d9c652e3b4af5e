//! Scrapes share their work.
//!
//! Putting the metrics together asks every partition. However many ask for them,
//! it is done once at a time; whoever came before it began is given its result;
//! and after it the node rests nine times as long as it took, so that scrapes
//! never cost more than a tenth of one core. What a client is given was always
//! put together after it asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How long to rest, in times of what the work took.
const REST: u32 = 9;
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(5);

/// The metrics as they were last, and how they are put together.
pub(super) struct Scrapes {
    render: Arc<dyn Fn() -> String + Send + Sync>,
    last: Arc<Mutex<Last>>,
}

/// The last time that the metrics were put together.
struct Last {
    began: Option<Instant>,
    /// Nothing, if that panicked.
    text: Option<Bytes>,
    next: Instant,
}

impl fmt::Debug for Scrapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrapes").finish_non_exhaustive()
    }
}

impl Scrapes {
    /// Metrics that `render` puts together.
    pub(super) fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let last = Last { began: None, text: None, next: Instant::now() };
        Self { render: Arc::new(render), last: Arc::new(Mutex::new(last)) }
    }

    /// The metrics, put together after this was called; nothing if that panicked.
    pub(super) async fn text(&self) -> Option<Bytes> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if last.began.is_some_and(|began| began > asked) {
            return last.text.clone();
        }
        let render = Arc::clone(&self.render);
        // On a task of its own: a client that leaves does not let another one begin.
        let work = tokio::spawn(async move {
            sleep_until(last.next).await;
            let began = Instant::now();
            let done = tokio::task::spawn_blocking(move || render()).await;
            last.began = Some(began);
            last.text = done.ok().map(Bytes::from);
            last.next = Instant::now() + (began.elapsed() * REST).min(REST_MAX);
            last.text.clone()
        });
        work.await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Metrics that are their own number, each taking ten milliseconds.
    fn numbers() -> Arc<Scrapes> {
        let (done, running) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Scrapes::new(move || {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            std::thread::sleep(Duration::from_millis(10));
            running.fetch_sub(1, Ordering::SeqCst);
            (done.fetch_add(1, Ordering::SeqCst) + 1).to_string()
        }))
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_answer() {
        let scrapes = numbers();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let scrapes = Arc::clone(&scrapes);
            asking.spawn(async move { scrapes.text().await });
        }
        let answers = asking.join_all().await;
        let answers: Vec<_> = answers.into_iter().map(|text| text.expect("no panic")).collect();
        assert!(answers.iter().all(|text| text == "1" || text == "2"), "{answers:?}");
    }

    #[tokio::test]
    async fn whoever_asks_later_gets_a_later_answer_and_the_node_rests_between() {
        let scrapes = numbers();
        let began = Instant::now();
        assert_eq!(scrapes.text().await.as_deref(), Some(&b"1"[..]));
        assert_eq!(scrapes.text().await.as_deref(), Some(&b"2"[..]));
        assert!(began.elapsed() >= Duration::from_millis(110));
    }

    #[tokio::test]
    async fn whoever_leaves_does_not_let_another_one_begin() {
        let scrapes = numbers();
        for _ in 0..20 {
            let left = tokio::time::timeout(Duration::from_millis(1), scrapes.text()).await;
            assert!(left.is_err());
        }
        assert!(scrapes.text().await.is_some(), "the work of those who left was one at a time");
    }

    #[tokio::test]
    async fn a_panic_is_told_and_the_next_one_begins_anew() {
        let calls = AtomicU64::new(0);
        let scrapes = Scrapes::new(move || {
            assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "as the test wants it");
            "well".to_owned()
        });
        assert_eq!(scrapes.text().await, None);
        assert_eq!(scrapes.text().await.as_deref(), Some(&b"well"[..]));
    }
}
