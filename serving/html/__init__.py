"""The kit of the pages: templates, components, words, and the visitor. It knows no subject."""
