//! Plots as SVG.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// Width and height of a plot, in pixels.
const SIZE: (u32, u32) = (720, 300);
/// So many points of a curve are marked, more are not.
const FEW: usize = 30;
const FONT: &str = "sans-serif";
/// Of the curves, in this order; told apart by people who see few colours, too.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(220, 50, 32), RGBColor(90, 90, 90), RGBColor(0, 130, 100)];

/// A plot that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot cannot be drawn: {0}")]
pub struct PlotError(String);

/// What stands at an axis.
#[derive(Debug, Clone, Copy)]
pub struct Axes<'a> {
    /// Below.
    pub x: &'a str,
    /// At the side.
    pub y: &'a str,
}

/// Points that belong together, by their x.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// What they are.
    pub name: &'a str,
    /// Where they are.
    pub points: Vec<(f64, f64)>,
}

/// Curves over a common axis; y begins at 0.
///
/// # Errors
/// [`PlotError`].
pub fn curves(axes: Axes<'_>, curves: &[Curve<'_>]) -> Result<String, PlotError> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (left, right) = span(points().map(|(x, _)| *x));
    let top = highest(points().map(|(_, y)| *y));
    draw(axes, left..right, 0.0..top, &number, |chart| {
        for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
            let size = if curve.points.len() > FEW { 0 } else { 2 };
            let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)).point_size(size);
            chart
                .draw_series(line)
                .map_err(failed)?
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        if curves.len() > 1 {
            let mut legend = chart.configure_series_labels();
            legend.background_style(WHITE.mix(0.8)).label_font((FONT, 13));
            legend.border_style(RGBColor(200, 200, 200)).draw().map_err(failed)?;
        }
        Ok(())
    })
}

/// A bar of each height from one x to the next; the axis grows by factors.
///
/// # Errors
/// [`PlotError`].
pub fn bars(axes: Axes<'_>, bars: &[(f64, f64, f64)]) -> Result<String, PlotError> {
    let (left, right) = span(bars.iter().flat_map(|(from, to, _)| [from.log2(), to.log2()]));
    let top = highest(bars.iter().map(|(_, _, height)| *height));
    draw(axes, left..right, 0.0..top, &|x| number(x.exp2()), |chart| {
        let bar = |(from, to, height): &(f64, f64, f64)| {
            Rectangle::new([(from.log2(), 0.0), (to.log2(), *height)], COLOURS[0].filled())
        };
        chart.draw_series(bars.iter().map(bar)).map_err(failed).map(drop)
    })
}

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes, of which x is labelled by `label`, and what `fill` draws between them.
fn draw(
    axes: Axes<'_>,
    x: Range<f64>,
    y: Range<f64>,
    label: &dyn Fn(f64) -> String,
    fill: impl for<'a> FnOnce(&mut Chart<'a>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut builder = ChartBuilder::on(&area);
    builder.margin(8).x_label_area_size(44).y_label_area_size(64);
    let mut chart = builder.build_cartesian_2d(x, y).map_err(failed)?;
    let (below, beside) = (|value: &f64| label(*value), |value: &f64| number(*value));
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(axes.x).y_desc(axes.y).label_style((FONT, 13)).axis_desc_style((FONT, 14));
    mesh.light_line_style(WHITE).bold_line_style(RGBColor(225, 225, 225)).x_labels(8).y_labels(6);
    mesh.x_label_formatter(&below).y_label_formatter(&beside).draw().map_err(failed)?;
    fill(&mut chart)?;
    area.present().map_err(failed)?;
    drop((builder, chart));
    drop(area);
    Ok(svg)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

/// From the least to the greatest, and not empty.
fn span(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (least, greatest) = (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max));
    match least < greatest {
        true => (least, greatest),
        false if least == greatest => (least, least + 1.0),
        false => (1.0, 2.0),
    }
}

/// A little above the greatest, and above 0.
fn highest(values: impl Iterator<Item = f64>) -> f64 {
    let greatest = values.fold(0.0, f64::max);
    if greatest > 0.0 { greatest * 1.05 } else { 1.0 }
}

/// A number as it stands at an axis or in a table: three digits that count.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        size if size >= 1.0 => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => format!("{value:.4}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_of_nothing_of_one_point_and_of_many_is_drawn() -> Result<(), PlotError> {
        let axes = Axes { x: "seconds", y: "a < b" };
        for points in [vec![], vec![(1.0, 5.0)], vec![(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)]] {
            let many = points.len() > 1;
            let svg = curves(axes, &[Curve { name: "one", points }])?;
            assert!(svg.starts_with("<svg") && svg.contains("a &lt; b"), "{svg}");
            assert_eq!(svg.contains("<polyline"), many || svg.contains("<polyline"), "{svg}");
        }
        assert_eq!(bars(axes, &[(1.0, 2.0, 5.0), (2.0, 4.0, 1.0)])?.matches("#005AB5").count(), 2);
        Ok(())
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let told = [0.0, 0.0625, 1.0, 2.5, 3.456, 27.18, 12_345.6].map(number);
        assert_eq!(told, ["0", "0.0625", "1", "2.5", "3.46", "27.2", "12346"]);
    }
}
