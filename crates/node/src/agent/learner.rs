//! Trains another model in a thread of its own when an agent's predictions no longer come true.
//!
//! What decides better on decisions that it has not learnt from is stored and takes over; nothing else
//! does. Nobody waits for it, and it never touches the commit.

use super::{current_model, put_in_force};
use crossbeam_channel::{Receiver, Sender, bounded};
use einhorn_agent::decision::Knobs;
use einhorn_agent::model::{Model, hexadecimal};
use einhorn_agent::train::{Lived, Options, anew};
use einhorn_core::agent::{Advisor, Lesson};
use std::path::{Path, PathBuf};
use std::thread;

type Learnt = (Lesson, Option<Model>);

/// The training, from outside.
pub(crate) struct Learner {
    data: PathBuf,
    tell: Sender<Learnt>,
    learnt: Receiver<Learnt>,
}

impl Learner {
    /// One for the node with this data folder.
    pub(crate) fn new(data: PathBuf) -> Learner {
        // One lesson is under way at most.
        let (tell, learnt) = bounded(1);
        Learner { data, tell, learnt }
    }

    /// Begins a lesson if the agent wants one, and tells it how the last one ended.
    pub(crate) fn see_to(&self, advisor: &mut Advisor) {
        if let Ok((lesson, better)) = self.learnt.try_recv() {
            advisor.learnt(lesson, better.map(|model| Box::new(model) as _));
        }
        let Some(lived) = advisor.lessons() else { return };
        let (data, tell) = (self.data.clone(), self.tell.clone());
        let knobs = advisor.report().knobs;
        let learning = move || {
            // Nobody listens any more only when the node has ended.
            let _ = tell.send(learn(&data, lived, &knobs));
        };
        if let Err(error) = thread::Builder::new().name("agent".to_owned()).spawn(learning) {
            tracing::warn!(%error, "no thread to train another model in");
            advisor.learnt(Lesson::NotStored, None);
        }
    }
}

fn learn(data: &Path, lived: Vec<Lived>, knobs: &Knobs) -> Learnt {
    let decisions = lived.len();
    tracing::info!(decisions, "predictions do not come true: another model is trained");
    let champion = match current_model(data) {
        Ok(model) => model,
        Err(error) => {
            tracing::warn!(%error, "the model in force cannot be read: no other one is trained");
            return (Lesson::NotStored, None);
        }
    };
    let Some(challenger) = anew(&champion, lived, knobs, &Options::default()) else {
        tracing::info!("too little met another's change yet to learn from");
        return (Lesson::TooLittle, None);
    };
    let (saved_us, error_us) = (challenger.contest.saved_us, challenger.contest.error_us);
    let judged = challenger.judged;
    let model = hexadecimal(&challenger.model.hash());
    if !challenger.contest.promote {
        tracing::info!(%model, judged, saved_us, error_us, "the new model does not decide better");
        return (Lesson::NotBetter, None);
    }
    if let Err(error) = put_in_force(data, &challenger.model) {
        tracing::warn!(%error, "a better model cannot be stored");
        return (Lesson::NotStored, None);
    }
    tracing::info!(%model, judged, saved_us, error_us, "a model that decides better took over");
    (Lesson::Better, Some(challenger.model))
}
