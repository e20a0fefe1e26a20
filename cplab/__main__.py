from cplab.cli import main

raise SystemExit(main())
