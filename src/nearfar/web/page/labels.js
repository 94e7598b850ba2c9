// Where labels of points on the map go, so that none lies on another.

const PLACES = ["middle right", "middle left", "top center", "bottom center"];
const WIDE = 6.2;
const HIGH = 14;
const GAP = 9;

/**
 * For each point a position of its label as Plotly names it, or null where there is no room.
 *
 * @param points {x, y, text} in pixels, those that matter most first
 * @param taken boxes {left, right, top, bottom} that are to stay free
 * @param frame {width, height} in pixels
 */
export function placeLabels(points, taken, frame) {
  const boxes = [...taken];
  return points.map((point) => {
    for (const place of PLACES) {
      const box = boxOf(point, place);
      const inside =
        box.left >= 0 && box.right <= frame.width && box.top >= 0 && box.bottom <= frame.height;
      if (inside && !boxes.some((other) => overlap(box, other))) {
        boxes.push(box);
        return place;
      }
    }
    return null;
  });
}

function boxOf({ x, y, text }, place) {
  const width = WIDE * text.length;
  const [vertical, horizontal] = place.split(" ");
  const left = { left: x - GAP - width, center: x - width / 2, right: x + GAP }[horizontal];
  const top = { top: y - GAP - HIGH, middle: y - HIGH / 2, bottom: y + GAP }[vertical];
  return { left, right: left + width, top, bottom: top + HIGH };
}

const overlap = (a, b) =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
