; Fields, properties and enum members are constants.

(method_declaration name: (identifier) @name body: (_) @body) @function
(method_declaration name: (identifier) @name !body) @declaration
(constructor_declaration name: (identifier) @name body: (_) @body) @function
(destructor_declaration name: (identifier) @name body: (_) @body) @function
(local_function_statement name: (identifier) @name body: (_) @body) @function

(class_declaration name: (identifier) @name body: (_) @body) @class
(struct_declaration name: (identifier) @name body: (_) @body) @class
(interface_declaration name: (identifier) @name body: (_) @body) @class
(enum_declaration name: (identifier) @name body: (_) @body) @class
(record_declaration name: (identifier) @name) @class
(record_declaration name: (identifier) @name body: (_) @body) @class
(delegate_declaration name: (identifier) @name) @class
(namespace_declaration name: (_) @name body: (_) @body) @namespace

(field_declaration (variable_declaration (variable_declarator name: (identifier) @name))) @constant
(property_declaration name: (identifier) @name) @constant
(enum_member_declaration name: (identifier) @name) @constant

(invocation_expression function: (identifier) @reference)
(member_access_expression name: (identifier) @reference)
(generic_name (identifier) @reference)
(attribute name: (identifier) @reference)
(identifier) @reference.capital

(using_directive) @import

[(verbatim_string_literal) (raw_string_literal) (comment)] @text
