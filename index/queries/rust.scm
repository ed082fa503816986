; An `impl` gives its functions the type's name, but is no definition of the type.

(function_item name: (_) @name body: (_) @body) @function
(function_signature_item name: (_) @name) @declaration
(macro_definition name: (identifier) @name) @function

(struct_item name: (_) @name) @class
(struct_item name: (_) @name body: (field_declaration_list) @body) @class
(enum_item name: (_) @name body: (_) @body) @class
(union_item name: (_) @name body: (_) @body) @class
(trait_item name: (_) @name body: (_) @body) @class
(type_item name: (_) @name) @class
(impl_item type: (_) @name body: (_) @body) @extension
(mod_item name: (_) @name body: (_) @body) @namespace

(const_item name: (_) @name) @constant
(static_item name: (_) @name) @constant

(call_expression function: (identifier) @reference)
(call_expression function: (generic_function function: (identifier) @reference))
(scoped_identifier name: (identifier) @reference)
(scoped_identifier path: (identifier) @reference)
(field_expression field: (field_identifier) @reference)
(macro_invocation macro: (identifier) @reference)
(type_identifier) @reference
(use_list (identifier) @reference)
(attribute (identifier) @reference)
(identifier) @reference.capital

(use_declaration argument: (_) @import)
(mod_item !body) @import

[(string_literal) (raw_string_literal) (block_comment)] @text
