use crate::Event;

/// A picture of a fleet's life: instances over time by state and market, preemptions, cost.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    events: Vec<Event>,
}

impl Timeline {
    /// Takes note of an event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The picture, as SVG text.
    pub fn to_svg(&self) -> String {
        todo!()
    }
}
