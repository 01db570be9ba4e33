//! A picture is drawn anew before it is kept: what a camera wrote beside it (where, when, with what) goes, and so does whatever
//! else hid in the file. It stands upright, and is as small as a face beside a name needs.
//!
//! Whoever sends one chooses what the decoder reads, so that is bounded: sides, memory, one picture at a time, on a thread that
//! serves nobody.

use std::io::Cursor;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::image::{BYTES, Image, SIDE};
use crate::error::{FieldError, Problem};

/// The longest side that is kept; the second, for what does not fit in the first.
const KEPT: [u32; 2] = [512, 256];
/// What one picture may take while it is read: the largest, with sixteen bits for each colour, twice.
const MEMORY: u64 = 2 * 8 * SIDE as u64 * SIDE as u64;
const JPEG_QUALITY: u8 = 88;
/// How long anybody waits for his turn.
const PATIENCE: Duration = Duration::from_secs(5);

static TURN: Semaphore = Semaphore::const_new(1);

/// What is kept of a picture.
pub struct Redrawn {
    pub image: Image,
    pub bytes: Vec<u8>,
}

/// Draws it anew, when it is its turn.
///
/// # Errors
/// `422` for what begins like an image and is none; `503 busy`.
pub async fn redraw(bytes: Vec<u8>) -> Result<Redrawn, Problem> {
    let busy = |_| Problem::unavailable("busy", "too many pictures at once; try again");
    let turn = timeout(PATIENCE, TURN.acquire()).await.map_err(busy)?;
    let turn = turn.map_err(Problem::internal)?;
    let drawn = tokio::task::spawn_blocking(move || {
        let _until_it_is_done = turn; // also if nobody waits for it any more
        draw(&bytes)
    });
    drawn.await.map_err(Problem::internal)?.map_err(|_| {
        let words = "this picture cannot be read";
        Problem::invalid(vec![FieldError::body("", "invalid_format", words)])
    })
}

fn draw(bytes: &[u8]) -> ImageResult<Redrawn> {
    let picture = read(bytes)?;
    let [large, small] = KEPT;
    let drawn = write(&picture, large)?;
    if drawn.bytes.len() <= BYTES { Ok(drawn) } else { write(&picture, small) }
}

/// Upright.
fn read(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE), Some(SIDE));
    limits.max_alloc = Some(MEMORY);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// With what shines through as PNG, else as JPEG.
fn write(picture: &DynamicImage, side: u32) -> ImageResult<Redrawn> {
    let smaller = picture.width().max(picture.height()) > side;
    let fitting = smaller.then(|| picture.thumbnail(side, side));
    let fitting = fitting.as_ref().unwrap_or(picture);
    let mut bytes = Vec::new();
    let content_type = if fitting.color().has_alpha() {
        let plain = DynamicImage::ImageRgba8(fitting.to_rgba8());
        plain.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
        "image/png"
    } else {
        let encoder = &mut JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        encoder.encode_image(&fitting.to_rgb8())?;
        "image/jpeg"
    };
    let image = Image { content_type, width: fitting.width(), height: fitting.height() };
    Ok(Redrawn { image, bytes })
}
