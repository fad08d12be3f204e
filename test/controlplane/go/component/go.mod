module fairlead.dev/test/component

go 1.24
