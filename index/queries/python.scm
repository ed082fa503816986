; A definition is one match: its whole span under the name of its kind, and its @name.
; Where a name matches twice (bare and decorated) the wider span holds, so decorators belong to what they decorate.

[
  (function_definition name: (identifier) @name)
  (decorated_definition definition: (function_definition name: (identifier) @name))
] @function

[
  (class_definition name: (identifier) @name)
  (decorated_definition definition: (class_definition name: (identifier) @name))
] @class
