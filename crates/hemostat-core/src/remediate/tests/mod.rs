mod limits;
mod plans;
mod property;
mod taking_over;
mod verdicts;
mod world;
