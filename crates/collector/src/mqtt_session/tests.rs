//! Who has a client id, and what is kept.

use futures::FutureExt;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

async fn claim(sessions: &Arc<Sessions>, client_id: &str, clean_start: bool) -> Session {
    sessions.claim(client_id.into(), clean_start).await.expect("nobody else claims it")
}

#[tokio::test]
async fn a_session_is_kept_until_its_end() {
    let sessions = Sessions::new(10, 1 << 20);
    let mut first = claim(&sessions, "a", false).await;
    assert!(!first.is_present());
    first.state.stored.insert(7);
    first.give_back(HOUR);
    let second = claim(&sessions, "a", false).await;
    assert!(second.is_present() && second.state.stored.contains(&7));
    second.give_back(HOUR);
    sessions.shelf().forget_ended(Instant::now() + HOUR);
    let third = claim(&sessions, "a", false).await;
    assert!(!third.is_present() && third.state.stored.is_empty());
    third.give_back(HOUR);
    let clean = claim(&sessions, "a", true).await;
    assert!(!clean.is_present());
    clean.give_back(Duration::ZERO);
    assert!(!claim(&sessions, "a", false).await.is_present());
    assert!(sessions.shelf().entries.is_empty() && sessions.shelf().kept_bytes == 0, "nothing is left behind");
}

/// What the first connection stores until it gives the session back, the second one knows. Seen to fail when `claim` does not wait for the
/// session's turn.
#[tokio::test]
async fn who_claims_a_session_waits_until_it_is_given_back() {
    let sessions = Sessions::new(10, 1 << 20);
    let mut first = claim(&sessions, "a", false).await;
    let mut second = Box::pin(sessions.claim("a".into(), false));
    assert!(second.as_mut().now_or_never().is_none());
    assert!(first.taken_over().is_cancelled());
    first.state.stored.insert(9);
    let mut third = Box::pin(sessions.claim("a".into(), false));
    assert!(third.as_mut().now_or_never().is_none());
    assert!(second.now_or_never().expect("it has lost to the third").is_none());
    first.give_back(HOUR);
    let third = third.await.expect("the last one has it");
    assert!(third.is_present() && third.state.stored.contains(&9) && !third.taken_over().is_cancelled());
}

/// Seen to fail when `Claim::drop` forgets nobody.
#[tokio::test]
async fn kept_sessions_are_bounded_in_number_and_bytes() {
    let sessions = Sessions::new(2, 1 << 20);
    for (client_id, hours) in [("a", 3), ("b", 1), ("c", 2)] {
        claim(&sessions, client_id, false).await.give_back(HOUR * hours);
    }
    assert!(!claim(&sessions, "b", false).await.is_present(), "the one that would have ended first is gone");
    assert!(claim(&sessions, "a", false).await.is_present());
    let sessions = Sessions::new(100, 2 * SESSION_BYTES);
    for client_id in ["a", "b", "c"] {
        claim(&sessions, client_id, false).await.give_back(HOUR);
    }
    assert_eq!(sessions.shelf().entries.len(), 1);
}
