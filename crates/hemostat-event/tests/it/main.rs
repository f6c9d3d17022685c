//! What is written down stays readable: codecs, exported form, schemas and stored samples.

mod arbitrary;
mod catalogue;
mod cloudevents;
mod codec;
mod dead_letter;
mod examples;
mod files;
mod samples;
mod schemas;
mod shapes;
mod words;
