//! Another answer than the recorded one to the question for the root cause.

use std::fmt;

use hemostat_event::{Data, Diagnosis, Event, HealthAlert};

use super::difference::Difference;
use super::{Step, Told, Untold, is_diagnosis};
use crate::diagnose::{Analyzer, State};
use crate::role::{Decide as _, First, Input};

/// Who is asked for the root cause of an alert. Why there is no answer is said in words; the rules decide alone then, as
/// those of an agent do.
pub struct Provider(Box<Ask>);

type Ask = dyn FnMut(&HealthAlert) -> Result<Diagnosis, String> + Send;

impl Provider {
    /// Asks `diagnose`.
    pub fn new(diagnose: impl FnMut(&HealthAlert) -> Result<Diagnosis, String> + Send + 'static) -> Self {
        Self(Box::new(diagnose))
    }

    /// Decides on an alert by what the provider answers. The answer itself is compared with nothing, only what is decided
    /// on it: whether a plan is made, which, and how sure it is.
    pub(super) fn decide(&mut self, analyzer: &Analyzer, state: &State, input: &Event, step: &Step) -> Told {
        let Data::HealthAlert(alert) = &input.data else { return Told::Untold(Untold::Input) };
        let answered = Input::Outcome { first: First::Event(input), attempt: 1, outcome: (self.0)(alert) };
        let decision = analyzer.decide(&step.subject, state, answered, step.now);
        let decided = decision.emit.into_iter().map(|emit| emit.data);
        let decided: Vec<Data> = decided.filter(|data| !matches!(data, Data::Diagnosis(_))).collect();
        let recorded = step.events.iter().filter(|(_, event)| !is_diagnosis(event));
        let recorded: Vec<_> = recorded.cloned().collect();
        match Difference::between(step.role, input, &recorded, &decided) {
            Some(difference) => Told::Different(Box::new(difference)),
            None => Told::Same,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}
