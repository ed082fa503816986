; What each capture means is in retrieval/syntax.py. Where a name matches twice (bare and decorated) the wider span holds, so
; decorators belong to what they decorate.

(function_definition name: (identifier) @name body: (_) @body) @function
(decorated_definition definition: (function_definition name: (identifier) @name body: (_) @body) @head) @function
(decorated_definition
  (decorator [(identifier) @mark (attribute attribute: (identifier) @mark)])
  definition: (function_definition name: (identifier) @name body: (_) @body) @head) @declaration

(class_definition name: (identifier) @name body: (_) @body) @class
(decorated_definition definition: (class_definition name: (identifier) @name body: (_) @body) @head) @class

(module (expression_statement (assignment left: (identifier) @name) @constant))
(module (expression_statement (assignment left: (pattern_list (identifier) @name)) @constant))
(module (type_alias_statement left: (type (identifier) @name)) @constant)
(class_definition body: (block (expression_statement (assignment left: (identifier) @name) @constant)))

(call function: (identifier) @reference)
(attribute attribute: (identifier) @reference)
(type (identifier) @reference)
(type (generic_type (identifier) @reference))
(type (binary_operator (identifier) @reference))
(class_definition superclasses: (argument_list (identifier) @reference))
(decorator (identifier) @reference)
(import_from_statement name: (dotted_name (identifier) @reference))
(import_from_statement name: (aliased_import name: (dotted_name (identifier) @reference)))

[(import_statement) (import_from_statement)] @import

[(string) (comment)] @text
