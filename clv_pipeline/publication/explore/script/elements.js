// Makes elements. Whatever a text holds, it becomes text: nothing here reads markup.

/** An element with attributes and children; a child is a node, or a text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...children)
  return made
}

/** A text of its own direction, which does not turn what stands beside it. */
function own(text) {
  return element('bdi', {}, text)
}

function byId(id) {
  return document.getElementById(id)
}

/** Fill a description list with pairs of a heading and texts, or nodes that are `dd`; those without a text are left out. */
function describe(list, pairs) {
  list.replaceChildren(
    ...pairs.filter(([, told]) => told !== null && told !== NOTHING)
      .map(([heading, ...told]) => element('div', {}, element('dt', {}, heading), ...told.map(text => text instanceof Node ? text : element('dd', {}, text))))
  )
  return list
}

/** A drawing of bars side by side, each with a title; described as a whole by `label`. */
function bars(label, values, titles) {
  const space = 'http://www.w3.org/2000/svg'
  const drawing = document.createElementNS(space, 'svg')
  const largest = Math.max(...values, 0) || 1
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${values.length} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label })) {
    drawing.setAttribute(name, value)
  }
  values.forEach((value, place) => {
    if (!(value > 0)) return
    const bar = document.createElementNS(space, 'rect')
    const height = Math.max(1, 100 * value / largest)
    for (const [name, size] of Object.entries({ x: place + 0.1, y: 100 - height, width: 0.8, height })) bar.setAttribute(name, size)
    const title = document.createElementNS(space, 'title')
    title.textContent = titles[place]
    bar.append(title)
    drawing.append(bar)
  })
  return drawing
}
