//! Shopify's product CSV. The lines of one handle follow each other: the first tells the product, each with a SKU, price or
//! option is a variant, and each with a picture adds it. A variant becomes a product of the handle's item group.

use std::collections::HashMap;

use cartwright_contracts::ProductStatus;
use cartwright_vocabulary::DecimalText;
use tokio::io::AsyncBufRead;

use super::rows::{Row, Rows};
use super::{ImportError, Sink};
use crate::domain::{ProductInput, ProductOption, plain_text, slug};

/// Variants of one handle; Shopify itself allows 2048.
const VARIANTS: usize = 2048;
/// Pictures of one handle; Shopify itself allows 250, a product here 50.
const PICTURES: usize = 50;
/// What Shopify calls the one option of a product that has none.
const NO_OPTION: &str = "default title";

/// Reads every product of `input` into `sink`.
pub(super) async fn read(input: impl AsyncBufRead + Send + Unpin, sink: &mut impl Sink) -> Result<(), ImportError> {
    let mut rows = Rows::new(input);
    let Some(header) = rows.next().await? else { return Ok(()) };
    let columns = Columns::of(header.fields.unwrap_or_default())?;
    let mut group: Option<Group> = None;
    while let Some(row) = rows.next().await? {
        sink.read_to(rows.bytes());
        let number = row.line;
        let Some(line) = columns.read(row) else {
            sink.reject(number, "the line is not UTF-8")?;
            continue;
        };
        if line.get("handle").is_empty() {
            sink.reject(line.number, "Handle is missing")?;
            continue;
        }
        if let Some(current) = group.take_if(|group| group.handle != line.get("handle")) {
            current.offer(sink).await?;
        }
        let current = group.get_or_insert_with(|| Group::of(&line));
        if let Err(reason) = current.add(&line) {
            sink.reject(line.number, reason)?;
        }
    }
    match group {
        Some(last) => last.offer(sink).await,
        None => Ok(()),
    }
}

/// Where each column stands, by its name in lower case.
struct Columns(HashMap<String, usize>);

impl Columns {
    fn of(header: Vec<String>) -> Result<Self, ImportError> {
        let places = header.iter().enumerate().map(|(place, name)| (name.trim().to_lowercase(), place));
        let columns = Self(places.collect());
        for needed in ["Handle", "Title", "Variant Price"] {
            if !columns.0.contains_key(&needed.to_lowercase()) {
                return Err(ImportError::NoColumn(needed));
            }
        }
        Ok(columns)
    }

    fn read(&self, row: Row) -> Option<Line<'_>> {
        Some(Line { number: row.line, fields: row.fields?, columns: self })
    }
}

/// One line of the file.
struct Line<'a> {
    number: u64,
    fields: Vec<String>,
    columns: &'a Columns,
}

impl Line<'_> {
    /// The trimmed text of a column; empty where there is none.
    fn get(&self, column: &str) -> &str {
        self.columns.0.get(column).and_then(|place| self.fields.get(*place)).map_or("", |text| text.trim())
    }

    fn option(&self, number: usize, part: &str) -> &str {
        self.get(&format!("option{number} {part}"))
    }

    fn is_variant(&self) -> bool {
        ["variant sku", "variant price", "option1 value"].iter().any(|column| !self.get(column).is_empty())
    }
}

/// The lines of one handle.
struct Group {
    handle: String,
    first_line: u64,
    title: String,
    description: String,
    vendor: String,
    category: Option<String>,
    tags: Vec<String>,
    status: ProductStatus,
    option_names: [String; 3],
    pictures: Vec<(u32, String)>,
    variants: Vec<Variant>,
}

struct Variant {
    line: u64,
    sku: String,
    price: String,
    compare_at_price: String,
    stock: String,
    picture: String,
    options: [String; 3],
}

impl Group {
    /// What the first line of a handle tells.
    fn of(line: &Line<'_>) -> Self {
        let texts = |column: &str| line.get(column).to_owned();
        let category = [line.get("product category"), line.get("type")].into_iter().find(|text| !text.is_empty());
        let tags = line.get("tags").split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty());
        Self {
            handle: texts("handle"),
            first_line: line.number,
            title: texts("title"),
            description: plain_text(line.get("body (html)")),
            vendor: texts("vendor"),
            category: category.map(ToOwned::to_owned),
            tags: tags.collect(),
            status: status(line),
            option_names: [1, 2, 3].map(|number| line.option(number, "name").to_owned()),
            pictures: Vec::new(),
            variants: Vec::new(),
        }
    }

    fn add(&mut self, line: &Line<'_>) -> Result<(), &'static str> {
        let picture = line.get("image src");
        if !picture.is_empty() && self.pictures.len() < PICTURES {
            let unplaced = u32::try_from(self.pictures.len()).unwrap_or(u32::MAX).saturating_add(1);
            self.pictures.push((line.get("image position").parse().unwrap_or(unplaced), picture.to_owned()));
        }
        if line.is_variant() || line.number == self.first_line {
            if self.variants.len() >= VARIANTS {
                return Err("a product has 2048 variants at most");
            }
            self.variants.push(Variant::of(line));
            return Ok(());
        }
        if picture.is_empty() { Err("the line has neither a variant nor a picture") } else { Ok(()) }
    }

    async fn offer(mut self, sink: &mut impl Sink) -> Result<(), ImportError> {
        if self.title.is_empty() {
            return sink.reject(self.first_line, format!("Title is missing on the first line of {}", self.handle));
        }
        self.pictures.sort_by_key(|(position, _)| *position);
        let variants = std::mem::take(&mut self.variants);
        let grouped = variants.len() > 1;
        for variant in variants {
            let line = variant.line;
            match self.product(variant, grouped) {
                Ok(input) => sink.offer(line, input).await?,
                Err(reason) => sink.reject(line, reason)?,
            }
        }
        Ok(())
    }

    fn product(&self, variant: Variant, grouped: bool) -> Result<ProductInput, String> {
        let options = self.options(&variant);
        let values: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
        let name = match values.as_slice() {
            [] => self.title.clone(),
            values => format!("{} – {}", self.title, values.join(" / ")),
        };
        let address = slug(&format!("{} {}", self.handle, values.join(" ")));
        // Shopify allows variants without a SKU; handle and options name them just as lastingly.
        let sku = if variant.sku.is_empty() { address } else { variant.sku };
        let pictures = self.pictures.iter().map(|(_, address)| address.clone());
        Ok(ProductInput {
            sku,
            name,
            slug: None,
            description: self.description.clone(),
            price: decimal("Variant Price", &variant.price)?,
            compare_at_price: compared(&variant.compare_at_price, &variant.price)?,
            currency: None,
            category: self.category.clone(),
            brand: self.vendor.clone(),
            image: variant.picture,
            images: pictures.collect(),
            options,
            item_group_id: grouped.then(|| self.handle.clone()),
            tax_category: None,
            tags: self.tags.clone(),
            status: Some(self.status),
            opening_stock: stock(&variant.stock)?,
        })
    }

    fn options(&self, variant: &Variant) -> Vec<ProductOption> {
        let named = self.option_names.iter().zip(&variant.options).enumerate();
        let chosen = named.filter(|(_, (_, value))| !value.is_empty() && value.to_lowercase() != NO_OPTION);
        chosen
            .map(|(place, (name, value))| {
                let name = if name.is_empty() { format!("Option {}", place + 1) } else { name.clone() };
                ProductOption { name, value: value.clone() }
            })
            .collect()
    }
}

impl Variant {
    fn of(line: &Line<'_>) -> Self {
        let text = |column: &str| line.get(column).to_owned();
        Self {
            line: line.number,
            // A leading apostrophe is how spreadsheets keep a number a text.
            sku: line.get("variant sku").trim_start_matches('\'').to_owned(),
            price: text("variant price"),
            compare_at_price: text("variant compare at price"),
            stock: text("variant inventory qty"),
            picture: text("variant image"),
            options: [1, 2, 3].map(|number| line.option(number, "value").to_owned()),
        }
    }
}

fn status(line: &Line<'_>) -> ProductStatus {
    match line.get("status").to_lowercase().as_str() {
        "draft" => ProductStatus::Draft,
        "archived" => ProductStatus::Archived,
        "active" => ProductStatus::Active,
        _ if line.get("published").eq_ignore_ascii_case("false") => ProductStatus::Draft,
        _ => ProductStatus::Active,
    }
}

fn decimal(column: &str, text: &str) -> Result<DecimalText, String> {
    if text.is_empty() {
        return Err(format!("{column} is missing"));
    }
    serde_json::from_str(text).map_err(|_| format!("{column}: `{text}` is not a plain decimal number"))
}

/// Shopify writes the price itself, or 0, where there is nothing to compare with.
fn compared(text: &str, price: &str) -> Result<Option<DecimalText>, String> {
    if text.is_empty() || text == price || text.bytes().all(|byte| byte == b'0' || byte == b'.') {
        return Ok(None);
    }
    decimal("Variant Compare At Price", text).map(Some)
}

/// A shelf that was oversold opens empty.
fn stock(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let units: i64 = text.parse().map_err(|_| format!("Variant Inventory Qty: `{text}` is not a whole number"))?;
    u32::try_from(units.max(0)).map(Some).map_err(|_| "Variant Inventory Qty is too large".to_owned())
}
