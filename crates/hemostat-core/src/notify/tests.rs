//! What the rules promise.

mod world;

use hemostat_event::{
    Data, DeadLetter, IncidentId, NotificationKind, Outcome as Ending, Recovery, Rejection,
    RemediationComplete, Severity, Verification,
};
use proptest::prelude::*;

use super::*;
use world::*;

const SLACK: Channel = Channel::Slack;
const WEBHOOK: Channel = Channel::Webhook;
const TERMINAL: Channel = Channel::Terminal;
const WINDOW: Duration = Duration::from_secs(300);

#[test]
fn what_is_news_is_told_as_what_it_is() {
    use NotificationKind as Kind;
    let cases = [
        (complete(Ending::Success), Kind::Remediated, Severity::Warning, "remediated"),
        (complete(failed()), Kind::RemediationFailed, Severity::High, "remediation_failed"),
        (
            complete(rejected(Rejection::CooldownActive)),
            Kind::RemediationRejected,
            Severity::Warning,
            "remediation_rejected/cooldown_active",
        ),
        (
            complete(rejected(Rejection::CircuitBreakerOpen)),
            Kind::RemediationRejected,
            Severity::High,
            "remediation_rejected/circuit_breaker_open",
        ),
        (
            complete(rejected(Rejection::ModeForbids)),
            Kind::Escalation,
            Severity::High,
            "escalation/mode_forbids",
        ),
        (
            complete(Ending::Unknown { detail: "".into() }),
            Kind::NotFixed,
            Severity::High,
            "not_fixed/outcome_unknown",
        ),
        (escalated(), Kind::Escalation, Severity::High, "escalation"),
        (verified(Verification::Verified), Kind::Verified, Severity::Info, "verified"),
        (verified(Verification::NotFixed), Kind::NotFixed, Severity::High, "not_fixed"),
        (verified(Verification::Unknown), Kind::NotFixed, Severity::Warning, "not_fixed/unknown"),
        (recovered(Recovery::Cleared), Kind::Recovered, Severity::Info, "recovered"),
    ];
    for (data, kind, severity, topic) in cases {
        let mut world = World::new(&[SLACK]);
        assert_eq!(
            world.deal(&event(1, "web", 0, data.clone()), |_| Answer::Delivered),
            told_by(&[SLACK]),
            "{data:?}"
        );
        let message = world.messages.pop().expect("a message");
        assert_eq!((message.kind, message.severity), (kind, severity), "{data:?}");
        assert_eq!(world.log(), [format!("slack {} sent 1", kind.as_str())]);
        assert_eq!(world.keys(), [format!("h1/web/{topic}@{}", at(0))]);
    }
}

#[test]
fn what_nobody_has_to_know_is_acknowledged_in_silence() {
    let moot = complete(Ending::NotApplicable { detail: "the container is gone".into() });
    for data in [moot, false_alarm(), letter(Role::Alert, Some(id(9)))] {
        let mut world = World::new(&[SLACK, TERMINAL]);
        assert_eq!(
            world.deal(&event(1, "web", 0, data.clone()), |_| Answer::Delivered),
            silent(),
            "{data:?}"
        );
        assert!(world.events.is_empty(), "{data:?}");
    }
}

#[test]
fn without_channels_nobody_is_told() {
    let mut world = World::new(&[]);
    assert_eq!(world.deal(&event(1, "web", 0, complete(Ending::Success)), |_| Answer::Delivered), silent());
    assert!(world.events.is_empty());
}

#[test]
fn the_same_news_is_told_once_per_window() {
    let mut world = World::new(&[SLACK, TERMINAL]);
    let cooldown = || complete(rejected(Rejection::CooldownActive));
    assert_eq!(
        world.deal(&event(1, "web", 0, cooldown()), |_| Answer::Delivered),
        told_by(&[SLACK, TERMINAL])
    );
    assert_eq!(world.deal(&event(2, "web", 299, cooldown()), |_| Answer::Delivered), silent());
    assert_eq!(
        world.log_of(id(2)),
        ["slack remediation_rejected deduplicated", "terminal remediation_rejected deduplicated"]
    );
    // A repetition does not make the window longer.
    assert_eq!(
        world.deal(&event(3, "web", 300, cooldown()), |_| Answer::Delivered),
        told_by(&[SLACK, TERMINAL])
    );
    let [first, again] = [id(1), id(2)].map(|id| world.key_of(id));
    assert_eq!(first, again, "a repetition carries the key of what it repeats");
    assert_ne!(first, world.key_of(id(3)));
}

#[test]
fn the_window_is_measured_by_when_things_happened_not_by_when_they_were_told() {
    let mut world = World::new(&[SLACK]);
    world.late = Duration::from_secs(250);
    assert_eq!(world.deal(&event(1, "web", 0, complete(failed())), |_| Answer::Delivered), told_by(&[SLACK]));
    world.late = Duration::ZERO;
    // 50 s after the first was told, and 300 s after it happened.
    assert_eq!(
        world.deal(&event(2, "web", 300, complete(failed())), |_| Answer::Delivered),
        told_by(&[SLACK])
    );
    // And what comes late does not count as new.
    world.late = Duration::from_secs(10_000);
    assert_eq!(world.deal(&event(3, "web", 599, complete(failed())), |_| Answer::Delivered), silent());
}

#[test]
fn news_that_arrives_out_of_order_is_one_news_all_the_same() {
    let mut world = World::new(&[SLACK]);
    let fixed = || verified(Verification::Verified);
    assert_eq!(world.deal(&event(1, "web", 1_000, fixed()), |_| Answer::Delivered), told_by(&[SLACK]));
    assert_eq!(world.deal(&event(2, "web", 900, fixed()), |_| Answer::Delivered), silent());
    assert_eq!(world.deal(&event(3, "web", 700, fixed()), |_| Answer::Delivered), told_by(&[SLACK]));
    assert_eq!(
        world.deal(&event(4, "web", 1_100, fixed()), |_| Answer::Delivered),
        silent(),
        "the later one still counts"
    );
}

#[test]
fn another_kind_another_container_and_another_reason_are_never_swallowed() {
    let mut world = World::new(&[SLACK]);
    let others = [
        ("web", complete(Ending::Success)),
        ("db", complete(Ending::Success)),
        ("web", complete(failed())),
        ("web", complete(rejected(Rejection::CooldownActive))),
        ("web", complete(rejected(Rejection::BudgetSpent))),
        ("web", complete(Ending::Unknown { detail: String::new() })),
        ("web", verified(Verification::NotFixed)),
        ("web", verified(Verification::Verified)),
        ("web", verified(Verification::Unknown)),
        ("web", recovered(Recovery::Cleared)),
        ("web", escalated()),
        ("web", letter(Role::Analyzer, Some(id(90)))),
    ];
    for (n, (name, data)) in (1..).zip(others) {
        let event = event(n, name, 10, data);
        assert_eq!(world.deal(&event, |_| Answer::Delivered), told_by(&[SLACK]), "{event:?}");
    }
}

#[test]
fn letters_about_different_incidents_are_different_news() {
    // Letters are about no container, so all of them share one state.
    let mut world = World::new(&[SLACK]);
    let about = |incident: u64, group| {
        let incident = IncidentId::opened(&subject("x"), at(incident));
        let Data::DeadLetter(letter) = letter(group, Some(id(50))) else { unreachable!() };
        Data::from(DeadLetter { incident: Some(incident), ..letter })
    };
    for (n, data, told) in [
        (1, about(1, Role::Responder), true),
        (2, about(2, Role::Responder), true),
        (3, about(1, Role::Analyzer), true),
        (4, about(1, Role::Responder), false),
    ] {
        let dealt = world.deal(&event(n, "_hemostat", 0, data), |_| Answer::Delivered);
        assert_eq!(dealt, if told { told_by(&[SLACK]) } else { silent() }, "{n}");
    }
}

#[test]
fn a_channel_that_fails_neither_holds_up_the_others_nor_has_them_told_again() {
    let mut world = World::new(&[SLACK, WEBHOOK, TERMINAL]);
    let news = event(1, "web", 0, complete(Ending::Success));
    let dealt = world.deal(&news, |channel| match channel {
        Channel::Slack => busy(Some(70)),
        Channel::Webhook => busy(Some(30)),
        Channel::Terminal => Answer::Delivered,
    });
    let again = End::Retry(Some(Duration::from_secs(70)));
    assert_eq!(
        dealt,
        (vec![SLACK, WEBHOOK, TERMINAL], again),
        "waits as long as the most patient one asks for"
    );
    assert_eq!(world.log(), ["terminal remediated sent 1"]);
    let dealt = world.deal(&news, |channel| if channel == SLACK { busy(None) } else { Answer::Delivered });
    assert_eq!(dealt, (vec![SLACK, WEBHOOK], End::Retry(None)));
    assert_eq!(world.deal(&news, |_| busy(Some(1))), (vec![SLACK], End::Retry(Some(Duration::from_secs(1)))));
    assert_eq!(world.deal(&news, |_| Answer::Delivered), told_by(&[SLACK]));
    assert_eq!(
        world.log(),
        ["terminal remediated sent 1", "webhook remediated sent 2", "slack remediated sent 4"]
    );
    assert_eq!(world.deal(&news, |_| Answer::Delivered), silent(), "an entry that comes again is known");
}

#[test]
fn a_refusal_is_recorded_and_does_not_count_as_told() {
    let mut world = World::new(&[SLACK, TERMINAL]);
    let no = |channel| match channel {
        SLACK => Answer::Refused { error: "404: no_service".into() },
        _ => Answer::Delivered,
    };
    assert_eq!(world.deal(&event(1, "web", 0, complete(failed())), no), told_by(&[SLACK, TERMINAL]));
    assert_eq!(
        world.log(),
        ["slack remediation_failed failed 1: 404: no_service", "terminal remediation_failed sent 1"]
    );
    assert_eq!(
        world.deal(&event(2, "web", 10, complete(failed())), |_| Answer::Delivered),
        told_by(&[SLACK])
    );
}

#[test]
fn who_dies_between_delivery_and_commit_delivers_again() {
    let mut world = World::new(&[SLACK]);
    let news = event(1, "web", 0, complete(Ending::Success));
    world.dies_before_commit = true;
    assert_eq!(world.deal(&news, |_| Answer::Delivered), (vec![SLACK], End::Died));
    world.dies_before_commit = false;
    assert_eq!(world.deal(&news, |_| Answer::Delivered), told_by(&[SLACK]));
    let [first, second] = &world.messages[..] else { panic!("two messages") };
    assert_eq!(first.id, second.id, "a receiver can tell");
    assert_eq!(world.log(), ["slack remediated sent 2"]);
}

#[test]
fn a_channel_that_came_with_a_new_configuration_is_told_as_well() {
    let mut world = World::new(&[SLACK]);
    let news = event(1, "web", 0, complete(Ending::Success));
    assert_eq!(world.deal(&news, |_| busy(None)).1, End::Retry(None));
    world.role.settings.channels = vec![TERMINAL, SLACK, SLACK];
    assert_eq!(world.deal(&news, |_| Answer::Delivered), told_by(&[SLACK, TERMINAL]));
}

#[test]
fn an_event_that_nobody_could_read_is_news_and_a_failed_notification_is_not() {
    let mut world = World::new(&[SLACK]);
    let unreadable = event(1, "_hemostat", 0, letter(Role::Alert, None));
    assert_eq!(world.deal(&unreadable, |_| Answer::Delivered), told_by(&[SLACK]));
    let about_the_letter = event(2, "_hemostat", 0, letter(Role::Alert, Some(unreadable.envelope.id)));
    assert_eq!(world.deal(&about_the_letter, |_| Answer::Delivered), silent(), "the chain ends here");
}

#[test]
fn a_message_is_complete_in_itself() {
    let incident = IncidentId::opened(&subject("web"), at(0)).short();
    let next = format!("hemostat explain {incident}");
    let took = RemediationComplete { duration_ms: Some(1_400), ..completion(Ending::Success) };
    let message = World::message(&event(1, "web", 0, took.into()));
    assert_eq!(message.title, "web was restarted");
    assert_eq!(message.text, "Exit code 1: the application failed. Whether it helped is checked next.");
    let fields = [
        ("Container", "web"),
        ("Host", "h1"),
        ("Action", "restart"),
        ("Confidence", "88 %"),
        ("Took", "1 s"),
        ("Incident", &incident),
        ("What to do", &next),
    ];
    assert_eq!(message.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let message = World::message(&event(1, "web", 0, complete(rejected(Rejection::BudgetSpent))));
    assert_eq!(message.title, "web was not restarted: budget spent");
    assert_eq!(
        message.text,
        "Exit code 1: the application failed. It has had as many actions as its budget allows. \
         It is possible again in 42 min 5 s."
    );

    let message = World::message(&event(1, "web", 0, complete(rejected(Rejection::ModeForbids))));
    assert_eq!(message.title, "web needs a person");
    assert!(message.text.ends_with("HemoStat proposes to restart it; its mode leaves that to you."));

    let dry = RemediationComplete { dry_run: true, ..completion(Ending::Success) };
    let message = World::message(&event(1, "web", 0, dry.into()));
    assert_eq!(message.title, "web would have been restarted");
    assert!(message.fields.contains(&("Action".to_owned(), "restart (dry run)".to_owned())));

    let message = World::message(&event(1, "web", 0, recovered(Recovery::Cleared)));
    assert_eq!(message.title, "web has recovered");
    assert!(message.fields.contains(&("Symptoms".to_owned(), "high_cpu, oom_killed".to_owned())));
    assert!(message.fields.contains(&("Lasted".to_owned(), "1 h 2 min".to_owned())));

    let mut unfiled = event(1, "_hemostat", 0, letter(Role::Analyzer, Some(id(4))));
    unfiled.envelope.incident = None;
    let message = World::message(&unfiled);
    assert_eq!(message.title, "the analyzer could not handle an event");
    assert!(message.text.starts_with("Failed to decide: no memory. Tries: 5."), "{}", message.text);
    assert!(
        message.fields.contains(&("What to do".to_owned(), "hemostat log --type dead_letter".to_owned()))
    );
}

#[test]
fn the_state_of_a_container_does_not_grow_for_ever() {
    let mut world = World::new(&[SLACK, TERMINAL]);
    let mut size = 0;
    for n in 0..300u64 {
        let kind = if n % 2 == 0 { complete(failed()) } else { verified(Verification::Verified) };
        world.deal(&event(n, "web", n * 1_000, kind), |_| Answer::Delivered);
        if n == 200 {
            size = format!("{:?}", world.state("web")).len();
        }
    }
    // The times are all written with the same number of digits.
    assert_eq!(format!("{:?}", world.state("web")).len(), size);
}

#[derive(Debug, Clone)]
struct Step {
    /// Which of the pieces of news.
    news: usize,
    answers: BTreeMap<Channel, Answer>,
    dies: bool,
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Delivered),
        1 => Just(Answer::Refused { error: "no".into() }),
        2 => Just(busy(None)),
        1 => Just(busy(Some(5))),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let answers = (any_answer(), any_answer(), any_answer());
    (0usize..24, answers, prop::bool::weighted(0.1)).prop_map(|(news, (slack, webhook, terminal), dies)| {
        Step { news, answers: [(SLACK, slack), (WEBHOOK, webhook), (TERMINAL, terminal)].into(), dies }
    })
}

fn any_news() -> impl Strategy<Value = Data> {
    prop_oneof![
        Just(complete(Ending::Success)),
        Just(complete(failed())),
        Just(complete(rejected(Rejection::CooldownActive))),
        Just(complete(rejected(Rejection::BudgetSpent))),
        Just(verified(Verification::Verified)),
        Just(verified(Verification::NotFixed)),
        Just(recovered(Recovery::Cleared)),
    ]
}

proptest! {
    /// N-1 and N-2, whatever fails, whoever dies and in whatever order inputs are tried.
    #[test]
    fn every_channel_gets_every_news_once_per_window(
        news in proptest::collection::vec((0usize..2, 0u64..1_500, any_news()), 24),
        steps in proptest::collection::vec(any_step(), 0..80),
    ) {
        let news: Vec<_> = (0..).zip(news)
            .map(|(n, (name, seconds, data))| event(n, ["web", "db"][name], seconds, data))
            .collect();
        let mut world = World::new(&[SLACK, WEBHOOK, TERMINAL]);
        let mut acknowledged = BTreeSet::new();
        for step in steps {
            world.dies_before_commit = step.dies;
            let (_, end) = world.deal(&news[step.news], |channel| step.answers[&channel].clone());
            if end == End::Acknowledged {
                acknowledged.insert(step.news);
            }
        }
        // In the end every input is dealt with.
        world.dies_before_commit = false;
        for event in &news {
            prop_assert_eq!(world.deal(event, |_| Answer::Delivered).1, End::Acknowledged);
        }
        let topic = |event: &Event| {
            let subject = event.envelope.subject.clone().expect("a subject");
            News::of(&subject, event).expect("news").topic(&subject)
        };
        let close = |a: &Event, b: &Event| {
            let (a, b) = (a.envelope.time, b.envelope.time);
            a.since(b).max(b.since(a)) < WINDOW
        };
        for channel in [SLACK, WEBHOOK, TERMINAL] {
            let sent: Vec<_> = news
                .iter()
                .filter(|event| world.deliveries(event.envelope.id, channel).any(|d| matches!(d, Delivery::Sent { .. })))
                .collect();
            for (n, a) in sent.iter().enumerate() {
                for b in &sent[n + 1..] {
                    prop_assert!(topic(a) != topic(b) || !close(a, b), "told twice:\n{:?}\n{:?}", a, b);
                }
            }
            for event in &news {
                let all: Vec<_> = world.deliveries(event.envelope.id, channel).collect();
                prop_assert_eq!(all.len(), 1, "one record per news and channel: {:?}", all);
                let told = sent.iter().any(|sent| topic(sent) == topic(event) && close(sent, event));
                prop_assert!(told || matches!(all[0], Delivery::Failed { .. }), "never told: {:?}", event);
            }
        }
    }
}

#[test]
fn what_a_channel_complained_of_can_be_told() {
    let retry = |error: &str| Answer::Retry { after: None, error: error.to_owned() };
    let answered = |answers: &[(Channel, Answer)]| Outcome::Answered(answers.iter().cloned().collect());
    let complaint = Alerter::complaint(&answered(&[
        (WEBHOOK, retry("connection refused")),
        (SLACK, retry("503")),
        (TERMINAL, Answer::Delivered),
    ]));
    let complaint = complaint.expect("two channels complain");
    assert!(complaint.contains("503") && complaint.contains("connection refused"), "{complaint}");
    assert_eq!(Alerter::complaint(&answered(&[(SLACK, Answer::Delivered)])), None);
    assert_eq!(Alerter::complaint(&Outcome::Waited { after: None }), None);
}
