// The pages work without this. With it, a double click is one press, and the back button shows what
// is true now.
let pressed = false
addEventListener('submit', (event) => {
  if (pressed) event.preventDefault()
  pressed = true
})
addEventListener('pageshow', (event) => { if (event.persisted) location.reload() })
