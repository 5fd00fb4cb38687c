//! Templates: a subject, a plain text and an HTML text that are told something and become a letter.
//!
//! A name that a template uses and is not told is an error, never an empty place in a letter. HTML is escaped. A template
//! may run for a bounded number of steps only.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many steps a part of a template may take: a confirmation of a hundred lines takes fewer than ten thousand.
const FUEL: u64 = 200_000;
/// The longest part of a template, in bytes.
const LONGEST: usize = 64 * 1024;

/// A message in words that are still to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// The subject; becomes one line.
    pub subject: String,
    /// For readers of plain text.
    pub text: String,
    /// For everybody else.
    pub html: String,
}

/// A message in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// A template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {cause}")]
pub(crate) struct BadTemplate {
    /// Which part of it: `subject`, `text` or `html`.
    pub(crate) part: &'static str,
    /// What is wrong with it.
    pub(crate) cause: String,
}

impl Template {
    /// Refuses what can never become a letter.
    ///
    /// # Errors
    /// The first part that is empty, too long or no template.
    pub(crate) fn check(&self) -> Result<(), BadTemplate> {
        for (part, source) in self.parts() {
            if source.trim().is_empty() {
                return Err(BadTemplate { part, cause: "must not be empty".to_owned() });
            }
            if source.len() > LONGEST {
                return Err(BadTemplate { part, cause: format!("at most {LONGEST} bytes") });
            }
        }
        self.compiled().map(drop)
    }

    /// The letter that it makes of what it is told.
    ///
    /// # Errors
    /// The first part that is no template, or uses what it is not told.
    pub(crate) fn render(&self, told: &Value) -> Result<Letter, BadTemplate> {
        let environment = self.compiled()?;
        let part = |part: &'static str| {
            let rendered = environment.get_template(part).and_then(|template| template.render(told));
            rendered.map_err(|error| bad(part, &error))
        };
        let subject = part("subject")?.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Letter { subject, text: part("text")?, html: part("html")? })
    }

    const fn parts(&self) -> [(&'static str, &String); 3] {
        [("subject", &self.subject), ("text", &self.text), ("html", &self.html)]
    }

    fn compiled(&self) -> Result<Environment<'_>, BadTemplate> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|part| if part == "html" { AutoEscape::Html } else { AutoEscape::None });
        let lines = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(lines.map_err(|error| bad("text", &error))?);
        environment.set_fuel(Some(FUEL));
        for (part, source) in self.parts() {
            environment.add_template(part, source).map_err(|error| bad(part, &error))?;
        }
        Ok(environment)
    }
}

fn bad(part: &'static str, error: &minijinja::Error) -> BadTemplate {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let cause = error.line().map_or_else(|| what.clone(), |line| format!("{what} (line {line})"));
    BadTemplate { part, cause }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn template(text: &str) -> Template {
        Template {
            subject: "Hello\n {{ name }}".to_owned(),
            text: text.to_owned(),
            html: "<p>{{ name }}</p>".to_owned(),
        }
    }

    #[test]
    fn html_is_escaped_text_is_not_and_a_subject_is_one_line() {
        let letter = template("{{ name }}").render(&context! { name => "A & <b>\r\nBcc: x@example.com" }).unwrap();
        assert_eq!(letter.subject, "Hello A & <b> Bcc: x@example.com");
        assert!(letter.text.starts_with("A & <b>"));
        assert!(letter.html.starts_with("<p>A &amp; &lt;b&gt;"));
    }

    #[test]
    fn a_name_that_is_not_told_is_an_error_that_says_where() {
        let bad = template("{{ name }}\n{{ coupon }}").render(&context! { name => "Ada" }).unwrap_err();
        assert_eq!(bad.part, "text");
        assert!(bad.cause.contains("line 2"), "{bad}");
    }

    #[test]
    fn what_is_no_template_is_refused_before_it_is_used() {
        assert_eq!(template("{% if name %}").check().unwrap_err().part, "text");
        assert_eq!(template(" ").check().unwrap_err().cause, "must not be empty");
        assert!(template(&"x".repeat(LONGEST + 1)).check().is_err());
        assert_eq!(template("{{ name }}").check(), Ok(()));
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(template(endless).render(&context! { name => "Ada" }).is_err());
    }
}
