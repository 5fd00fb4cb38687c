//! Categories are paths, `Kitchen > Tea & Coffee`, and a product belongs to each step of its path.

use super::slug;

/// Every step of the path with the steps before it: `Kitchen`, then `Kitchen > Tea`.
pub(crate) fn ancestors(path: &str) -> Vec<String> {
    let steps: Vec<&str> = steps(path, '>').collect();
    (1..=steps.len()).map(|depth| steps[..depth].join(" > ")).collect()
}

/// What paths are compared by, whether they were written `Kitchen > Tea` or `kitchen/tea`.
pub(crate) fn key(path: &str) -> String {
    let separator = if path.contains('>') { '>' } else { '/' };
    let keys: Vec<String> = steps(path, separator).map(step_key).collect();
    keys.join("/")
}

fn steps(path: &str, separator: char) -> impl Iterator<Item = &str> {
    path.split(separator).map(str::trim).filter(|step| !step.is_empty())
}

/// A step without one ASCII letter or digit is compared as it is written.
fn step_key(step: &str) -> String {
    let slug = slug(step);
    if slug.is_empty() { step.to_lowercase() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_belongs_to_each_step_of_its_path() {
        assert_eq!(ancestors(" Kitchen >Tea & Coffee"), ["Kitchen", "Kitchen > Tea & Coffee"]);
        assert_eq!(ancestors("茶"), ["茶"]);
    }

    #[test]
    fn a_path_has_one_key_however_it_is_written() {
        assert_eq!(key("Kitchen > Tea & Coffee"), "kitchen/tea-coffee");
        assert_eq!(key("kitchen/tea-coffee"), "kitchen/tea-coffee");
        assert_eq!(key("KITCHEN"), "kitchen");
    }
}
