//! The timeline of a target, as a drawing (SVG) with one row a server, and as a list.

use std::collections::BTreeMap;
use std::fmt::Write;

use op_conductor_init::gate::{Happened, Moment};

/// Width of a timeline's drawing, in user units.
const WIDTH: f64 = 900.0;
/// Height of one server's row, and of the band in it.
const ROW: f64 = 52.0;
const BAND: f64 = 14.0;
/// Where the time begins, after the names, and where it ends.
const LEFT: f64 = 130.0;
const RIGHT: f64 = WIDTH - 20.0;

/// A drawing with one row a server, and the same as a list.
pub(super) fn timeline(html: &mut String, moments: &[Moment]) {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return };
    let scale = Scale::new(first.time, last.time);
    let mut servers: BTreeMap<&str, Vec<&Moment>> = BTreeMap::new();
    for moment in moments {
        servers.entry(&moment.server).or_default().push(moment);
    }
    let height = ROW * f64::from(u32::try_from(servers.len()).unwrap_or(u32::MAX)) + 30.0;
    _ = writeln!(
        html,
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"timeline of {} servers over {:.1} seconds\">",
        servers.len(),
        scale.seconds
    );
    axis(html, &scale, height);
    let mut top = 4.0;
    for (server, moments) in &servers {
        row(html, &scale, top, server, moments);
        top += ROW;
    }
    *html += "</svg>\n<figcaption>";
    *html += LEGEND;
    *html += "</figcaption>\n</figure>\n";
    moment_list(html, first, moments);
}

const LEGEND: &str = "Bands: <b class=\"k follower\">thin</b> follower, <b class=\"k candidate\">dotted</b> candidate, \
     <b class=\"k leader\">thick</b> leader; <b class=\"k sequencing\">line below</b> sequencing. \
     Marks: \u{25b6} started, \u{25a0} stopped, \u{25c6} block committed.";

/// From time to the drawing.
struct Scale {
    start: jiff::Timestamp,
    seconds: f64,
}

impl Scale {
    fn new(start: jiff::Timestamp, end: jiff::Timestamp) -> Scale {
        Scale { start, seconds: end.duration_since(start).as_secs_f64().max(0.1) }
    }

    fn after(&self, time: jiff::Timestamp) -> f64 {
        time.duration_since(self.start).as_secs_f64()
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * seconds / self.seconds
    }
}

/// Lines at whole seconds: at most about ten of them.
fn axis(html: &mut String, scale: &Scale, height: f64) {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
    let step = step.into_iter().find(|step| scale.seconds / step <= 10.0).unwrap_or(3600.0);
    let mut at = 0.0;
    while at <= scale.seconds {
        let x = scale.x(at);
        _ = writeln!(
            html,
            "<line class=\"axis\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{:.1}\"/><text class=\"time\" x=\"{x:.1}\" y=\"{:.1}\">{at:.0} s</text>",
            height - 22.0,
            height - 6.0
        );
        at += step;
    }
}

/// One server: its bands, then its marks over them.
fn row(html: &mut String, scale: &Scale, top: f64, server: &str, moments: &[&Moment]) {
    let middle = top + ROW / 2.0 - 6.0;
    _ = writeln!(html, "<text class=\"server\" x=\"4\" y=\"{:.1}\">{}</text>", middle + 4.0, escape(server));
    let mut state: Option<(&str, f64)> = None;
    let mut sequencing: Option<f64> = None;
    for moment in moments {
        let at = scale.after(moment.time);
        let next = state_after(&moment.what);
        if next.is_some() || moment.what == Happened::Stopped {
            band(html, scale, middle, state, at);
            state = next.map(|next| (next, at));
        }
        match moment.what {
            Happened::Sequencing => sequencing = sequencing.or(Some(at)),
            Happened::SequencingStopped => under(html, scale, middle, sequencing.take(), at),
            _ => {}
        }
    }
    band(html, scale, middle, state, scale.seconds);
    under(html, scale, middle, sequencing, scale.seconds);
    moments.iter().for_each(|moment| mark(html, scale, middle, moment));
    versions(html, scale, middle, moments);
}

/// What it runs, where that changes.
fn versions(html: &mut String, scale: &Scale, middle: f64, moments: &[&Moment]) {
    let mut last = None;
    for moment in moments {
        let Happened::Started { image } = &moment.what else { continue };
        if last.replace(image) != Some(image) {
            let (x, y) = (scale.x(scale.after(moment.time)), middle + BAND / 2.0 + 16.0);
            _ = writeln!(html, "<text class=\"version\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(tag(image)));
        }
    }
}

/// The tag of an image, without the hash of its sources in ours.
fn tag(image: &str) -> &str {
    let tag = image.rsplit_once(':').map_or(image, |(_, tag)| tag);
    let is_ours = image.starts_with("op-conductor-init/");
    tag.rsplit_once('-').filter(|_| is_ours).map_or(tag, |(tag, _)| tag)
}

/// The state of raft that begins at a moment.
fn state_after(what: &Happened) -> Option<&'static str> {
    match what {
        Happened::Follower => Some("follower"),
        Happened::Candidate => Some("candidate"),
        Happened::Leader => Some("leader"),
        _ => None,
    }
}

fn band(html: &mut String, scale: &Scale, middle: f64, state: Option<(&str, f64)>, until: f64) {
    let Some((state, since)) = state else { return };
    let height = if state == "leader" { BAND } else { BAND / 3.0 };
    let (x, width) = (scale.x(since), (scale.x(until) - scale.x(since)).max(1.0));
    _ = writeln!(
        html,
        "<rect class=\"{state}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{state} from {since:.1} s to {until:.1} s</title></rect>",
        middle - height / 2.0
    );
}

/// The line below the band, while its sequencer runs.
fn under(html: &mut String, scale: &Scale, middle: f64, since: Option<f64>, until: f64) {
    let Some(since) = since else { return };
    let (x, width) = (scale.x(since), (scale.x(until) - scale.x(since)).max(1.0));
    _ = writeln!(
        html,
        "<rect class=\"sequencing\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"3\"><title>sequencing from {since:.1} s to {until:.1} s</title></rect>",
        middle + BAND / 2.0 + 3.0
    );
}

fn mark(html: &mut String, scale: &Scale, middle: f64, moment: &Moment) {
    let sign = match moment.what {
        Happened::Started { .. } => "\u{25b6}",
        Happened::Stopped => "\u{25a0}",
        Happened::Committed { .. } => "\u{25c6}",
        _ => return,
    };
    let at = scale.after(moment.time);
    _ = writeln!(
        html,
        "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{sign}<title>{} at {at:.1} s</title></text>",
        scale.x(at),
        middle - BAND / 2.0 - 3.0,
        escape(&words(&moment.what))
    );
}

fn moment_list(html: &mut String, first: &Moment, moments: &[Moment]) {
    _ = writeln!(
        html,
        "<details><summary>The same as a list: {} moments from {}</summary>\n<ol>",
        moments.len(),
        first.time
    );
    for moment in moments {
        let after = moment.time.duration_since(first.time).as_secs_f64();
        _ = writeln!(html, "<li>{after:.3} s: {} {}</li>", escape(&moment.server), escape(&words(&moment.what)));
    }
    *html += "</ol>\n</details>\n";
}

fn words(what: &Happened) -> String {
    match what {
        Happened::Started { image } => format!("started, image {image}"),
        Happened::Stopped => "stopped".to_owned(),
        Happened::Follower => "follower".to_owned(),
        Happened::Candidate => "candidate".to_owned(),
        Happened::Leader => "leader".to_owned(),
        Happened::Sequencing => "sequencer started".to_owned(),
        Happened::SequencingStopped => "sequencer stopped".to_owned(),
        Happened::Committed { block } => format!("committed block {block}"),
        _ => "did something else".to_owned(),
    }
}

/// Text in which nothing is markup.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_tag_of_its_image() {
        assert_eq!(tag("op-conductor-init/op-conductor:v0.1.0-rc.1-0149da7cfe8a"), "v0.1.0-rc.1");
        assert_eq!(tag("example.org:5000/op-conductor:v1.20.0-rc.1"), "v1.20.0-rc.1");
    }

    #[test]
    fn names_from_files_stay_text() {
        assert_eq!(escape("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
