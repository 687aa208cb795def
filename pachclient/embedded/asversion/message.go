package asversion

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// strip clears the fields that a version does not know, in the whole message,
// and tells their names.
func (v version) strip(m protoreflect.Message, cleared func(field string)) {
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if name := string(f.FullName()); !v.knows(name) {
			m.Clear(f)
			cleared(name)
		}
		return true
	})
	children(m, func(child protoreflect.Message) { v.strip(child, cleared) })
}

// children calls fn with the messages that stand in the fields of m.
func children(m protoreflect.Message, fn func(protoreflect.Message)) {
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case f.IsMap() || f.Message() == nil: // no map of ours has messages
		case f.IsList():
			for i := range value.List().Len() {
				fn(value.List().Get(i).Message())
			}
		default:
			fn(value.Message())
		}
		return true
	})
}

// each calls fn with every M in a message, the outer before the inner.
func each[M proto.Message](m protoreflect.Message, fn func(M) error) error {
	if found, ok := m.Interface().(M); ok {
		if err := fn(found); err != nil {
			return err
		}
	}
	var err error
	children(m, func(child protoreflect.Message) {
		if err == nil {
			err = each(child, fn)
		}
	})
	return err
}
