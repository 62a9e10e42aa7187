//! Room is taken as bytes come and given back when nothing holds them any more.

use tokio::io::AsyncReadExt;

use super::Metered;
use crate::limits::Budget;

const FREE_BYTES: usize = 1_024;

/// A stream that gives as many bytes as are asked for, with room for eight pieces.
fn metered() -> (Metered<tokio::io::Repeat>, Budget) {
    let budget = Budget::new(8 * 1_024);
    (Metered::new(tokio::io::repeat(b' '), budget.clone(), FREE_BYTES), budget)
}

async fn read(stream: &mut Metered<tokio::io::Repeat>, bytes: usize) -> bool {
    stream.read_exact(&mut vec![0; bytes]).await.is_ok()
}

/// Whether there is room for so many bytes more.
fn has_room(budget: &Budget, bytes: usize) -> bool {
    budget.take(&mut None, bytes).is_ok()
}

#[tokio::test]
async fn small_messages_take_no_room_and_large_ones_take_theirs() {
    let (mut stream, budget) = metered();
    for _ in 0..100 {
        assert!(read(&mut stream, FREE_BYTES).await);
        assert!(stream.message_ended().is_none());
    }
    assert!(has_room(&budget, 8 * 1_024));
    assert!(read(&mut stream, 6 * 1_024).await);
    assert!(!has_room(&budget, 3 * 1_024) && has_room(&budget, 2 * 1_024));
    assert!(!read(&mut stream, 3 * 1_024).await && stream.is_overdrawn());
}

/// Seen to fail without `kept`: the room is free while the decoder may still have the buffer.
#[tokio::test]
async fn the_room_of_the_largest_message_is_kept() {
    let (mut stream, budget) = metered();
    assert!(read(&mut stream, 4 * 1_024).await);
    let first = stream.message_ended();
    assert!(first.is_some() && !has_room(&budget, 5 * 1_024));
    drop(first);
    assert!(!has_room(&budget, 5 * 1_024));
    // A message that is on its way has room of its own.
    assert!(read(&mut stream, 2 * 1_024).await);
    let second = stream.message_ended();
    assert!(!has_room(&budget, 3 * 1_024));
    drop(second);
    assert!(has_room(&budget, 4 * 1_024) && !has_room(&budget, 5 * 1_024));
    drop(stream);
    assert!(has_room(&budget, 8 * 1_024));
}

/// Seen to fail when a control frame ends the message: pings then hide how much has come and since when.
#[tokio::test]
async fn pings_within_a_message_do_not_hide_it() {
    let (mut stream, _) = metered();
    for _ in 0..7 {
        assert!(read(&mut stream, FREE_BYTES + 6).await);
        let began = stream.began();
        stream.control_ended(6);
        assert!(began.is_some() && stream.began() == began);
    }
    assert!(!read(&mut stream, 2 * FREE_BYTES).await);
    let (mut stream, _) = metered();
    assert!(read(&mut stream, 6).await);
    stream.control_ended(6);
    assert!(stream.began().is_none());
}
