//! How far a queue has come, for those who wait for more: every backend of ours tells it, [`crate::Queue::wait_for`] hears it.

use futures::{FutureExt, future::BoxFuture};
use record::{Error, Offset, Result};
use tokio::sync::watch;

/// The end of the stored records, and whether there will be more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    end: Offset,
    is_closed: bool,
}

/// The side that stores.
#[derive(Debug)]
pub(crate) struct TipSender(watch::Sender<Tip>);

/// The side that waits.
#[derive(Clone, Debug)]
pub(crate) struct TipReceiver(watch::Receiver<Tip>);

impl Tip {
    /// A queue that holds records below `end`.
    pub fn channel(end: Offset) -> (TipSender, TipReceiver) {
        let (sender, receiver) = watch::channel(Self { end, is_closed: false });
        (TipSender(sender), TipReceiver(receiver))
    }
}

impl TipSender {
    /// Records below `end` are stored.
    pub fn advance(&self, end: Offset) {
        self.0.send_modify(|tip| tip.end = end);
    }

    /// No more will come.
    pub fn close(&self) {
        self.0.send_modify(|tip| tip.is_closed = true);
    }
}

impl TipReceiver {
    /// Resolves when the record at `offset` is stored; with `Closed` when it will never be.
    pub fn wait_for(&self, offset: Offset) -> BoxFuture<'static, Result<()>> {
        let mut receiver = self.0.clone();
        async move {
            let arrived = receiver.wait_for(|tip| tip.end > offset || tip.is_closed).await.is_ok_and(|tip| tip.end > offset);
            match arrived {
                true => Ok(()),
                false => Err(Error::closed("the queue takes no more records").with("waited_for", offset)),
            }
        }
        .boxed()
    }

    /// Resolves when no more will come.
    pub fn closed(&self) -> BoxFuture<'static, ()> {
        let mut receiver = self.0.clone();
        async move {
            // An error means that the sender is gone, which is closed too.
            let _ = receiver.wait_for(|tip| tip.is_closed).await;
        }
        .boxed()
    }
}
